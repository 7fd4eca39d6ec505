"""Refuses numbers that are not finite, in weights and in outputs.

A runtime may hide them: OpenVINO's maximum and ReLU give finite numbers for NaN, and a slide then has nothing flagged. So
weights are checked in the file, and outputs again, since finite weights can overflow.
"""

# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false
# safetensors is only partly typed.

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from inkdot.errors import NonFiniteError, StorageError
from inkdot.model.runtimes.batches import Inferred


def check_finite_weights(path: Path) -> None:
    """Check every tensor of a ``.safetensors`` file, without PyTorch.

    Raises:
        StorageError: The file is damaged, or a tensor holds NaN or infinite values; the message names it.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                values = np.asarray(file.get_tensor(name))
                if values.dtype.kind == "f" and not np.isfinite(values).all():
                    raise StorageError(
                        f"{path}: expected finite numbers, found {int((~np.isfinite(values)).sum()):,} of {values.size:,} in "
                        f"{name} that are not (NaN or infinite); copy the whole model folder again, or train again"
                    )
    except (SafetensorError, OSError) as error:
        raise StorageError(f"{path}: expected a .safetensors file: {' '.join(str(error).split())}") from None


def finite_batches(batches: Iterator[Inferred], source: str) -> Iterator[Inferred]:
    """The batches as they come, each checked.

    Args:
        batches: Logits and features.
        source: What computed them, for the message.

    Raises:
        NonFiniteError: A number is NaN or infinite.
    """
    for batch in batches:
        check_finite(batch.logits, source)
        check_finite(batch.features, source)
        yield batch


def check_finite(values: npt.NDArray[np.floating], source: str) -> None:
    """Check one row per tile, shape [n, columns].

    Args:
        values: The numbers.
        source: What computed them, for the message.

    Raises:
        NonFiniteError: A number is NaN or infinite.
    """
    if np.isfinite(values).all():
        return
    rows = int((~np.isfinite(values)).any(axis=1).sum())
    raise NonFiniteError(
        f"{source}: expected finite numbers for every tile, found NaN or infinite ones for {rows} of {len(values)} tiles; "
        "check the model with `inkdot model verify`, and train it again"
    )

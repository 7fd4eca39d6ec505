"""A cell finder on disk: ``finder.json``, ``weights.safetensors`` and ``card.md`` in one folder. No pickle."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# safetensors is only partly typed.

from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from inkdot.bounded_json import parse_json
from inkdot.errors import StorageError
from inkdot.storage.atomic import write_bytes, write_text
from inkdot.storage.hashing import file_sha256
from inkdot.storage.record_json import first_error

FINDER_VERSION: Final = 1
EPSILON: Final = 1e-5
"""Of the network's batch normalisation."""

SHIPPED: Final = Path(__file__).with_name("shipped")
"""The folder of the cell finder that is installed with the package."""

Weights = dict[str, npt.NDArray[np.float32]]


class FinderFile(BaseModel):
    """Description of a cell finder, ``finder.json``.

    Attributes:
        version: Of this file.
        weights_sha256: Hash of ``weights.safetensors``.
        widths: Channels of the network at 1, 2, 4 and 8 µm per pixel.
        centre_threshold: Least probability of a centre.
        nucleus_threshold: Least probability of a pixel of a nucleus.
        stains: Stains of the training slides, as in manifests, in lower case.
        trained_on: Names of the training slides and image sets.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    version: int = FINDER_VERSION
    weights_sha256: str
    widths: tuple[int, int, int, int]
    centre_threshold: float = Field(gt=0.0, lt=1.0)
    nucleus_threshold: float = Field(gt=0.0, lt=1.0)
    stains: list[str]
    trained_on: list[str]


def write_finder(folder: Path, description: FinderFile, weights: Weights, card: str) -> FinderFile:
    """Write a folder, the description last; return the description with the hash of the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    # safetensors writes the memory as it lies: arrays in channels-last order would be scrambled.
    in_order = {name: np.ascontiguousarray(values) for name, values in weights.items()}
    write_bytes(folder / "weights.safetensors", save(in_order))
    write_text(folder / "card.md", card)
    written = description.model_copy(update={"weights_sha256": file_sha256(folder / "weights.safetensors")})
    write_text(folder / "finder.json", written.model_dump_json(indent=2) + "\n")
    return written


def read_finder(folder: Path) -> tuple[FinderFile, Weights]:
    """Read a folder.

    Raises:
        StorageError: A file is missing or damaged, holds other tensors or values that are no numbers, or the files do not
            belong together.
    """
    description = read_finder_file(folder)
    path = folder / "weights.safetensors"
    try:
        if file_sha256(path) != description.weights_sha256:
            raise StorageError(
                f"{path}: expected the weights that {folder / 'finder.json'} describes, found others; copy the whole "
                "folder again"
            )
        weights = load_file(path)
    except OSError:
        raise StorageError(
            f"{path}: expected the weights of a cell finder, found no file that can be read"
        ) from None
    except SafetensorError as error:
        raise StorageError(f"{path}: expected a .safetensors file: {' '.join(str(error).split())}") from None
    _check_weights(path, description, weights)
    return description, weights


def _check_weights(path: Path, description: FinderFile, weights: Weights) -> None:
    """Refuse tensors of another network, which a runtime may broadcast, and values that are no numbers."""
    expected, found = _shapes(description.widths), {name: values.shape for name, values in weights.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        raise StorageError(
            f"{path}: expected the tensors of a network of widths {list(description.widths)}, found {name} of shape "
            f"{found.get(name, 'none')} in place of {expected.get(name, 'none')}; copy the whole folder again"
        )
    for name, values in weights.items():
        if not np.isfinite(values).all():
            raise StorageError(
                f"{path}: expected numbers, found values in {name} that are not finite; train the cell finder again"
            )


def _shapes(widths: tuple[int, int, int, int]) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of :class:`inkdot.cell_finder.network.CellFinderNetwork`, without PyTorch."""
    a, b, c, d = widths
    blocks = {
        "down1": (a, a), "down2": (a, b, b), "down3": (b, c, c), "down4": (c, d, d, d),
        "up3": (d + c, c), "up2": (c + b, b), "up1": (b + a, a),
    }  # fmt: skip
    layers = {"stem.0": (a, 3, 5, 5)}
    for block, channels in blocks.items():
        layers |= {
            f"{block}.{3 * number}": (after, before, 3, 3)
            for number, (before, after) in enumerate(pairwise(channels))
        }
    shapes: dict[str, tuple[int, ...]] = {"head.weight": (2, a, 1, 1), "head.bias": (2,)}
    for name, shape in layers.items():
        block, number = name.split(".")
        shapes[f"{name}.weight"] = shape
        shapes |= {
            f"{block}.{int(number) + 1}.{part}": shape[:1]
            for part in ("weight", "bias", "running_mean", "running_var")
        }
    return shapes


def read_finder_file(folder: Path) -> FinderFile:
    """Read ``finder.json`` alone.

    Raises:
        StorageError: It is missing, damaged or of another version.
    """
    path = folder / "finder.json"
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise StorageError(f"{path}: expected a JSON object, found {type(values).__name__}")
        if values.get("version") != FINDER_VERSION:
            raise StorageError(
                f"{path}: expected version {FINDER_VERSION}, found {values.get('version')!r}; train the cell finder "
                "with this version of inkdot"
            )
        return FinderFile.model_validate(values)
    except OSError:
        raise StorageError(
            f"{folder}: expected the folder of a cell finder, found no finder.json; set tiling.cell_finder (or "
            "`predict --cell-finder`) to shipped, to classical, or to a folder that `inkdot cell-finder fine-tune` wrote"
        ) from None
    except ValidationError as error:
        raise StorageError(f"{path}: {first_error(error)}") from None
    except ValueError as error:
        raise StorageError(f"{path}: expected JSON, found something else ({error})") from None

"""The heads of a stored model on embeddings: scores without pixels."""

# pyright: reportUnknownMemberType=false

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from inkdot.errors import StorageError
from inkdot.model.runtimes.batches import Inferred

if TYPE_CHECKING:
    from inkdot.model.network import TileNetwork


def infer_embeddings(
    folder: Path, weights_sha256: str, batches: Iterable[npt.NDArray[np.floating[Any]]]
) -> Iterator[Inferred]:
    """Logits and features batch by batch, as :meth:`inkdot.model.predictor.Predictor.infer` gives them for pixels.

    The heads run in PyTorch on the CPU in float32: they cost little, and the encoder has already run in its own runtime.

    Args:
        folder: A model folder.
        weights_sha256: Hash of its weights, which are loaded once for all slides.
        batches: Embeddings of its encoder, shape [n, features].

    Raises:
        StorageError: The folder is no model, or its files do not belong together.
    """
    import torch

    network = _network(folder, weights_sha256)
    for batch in batches:
        features = np.ascontiguousarray(batch, dtype=np.float32)
        with torch.inference_mode():
            logits = network.forward_heads(torch.from_numpy(features))
        yield Inferred(logits.float().numpy(), features)


@lru_cache(maxsize=1)
def _network(folder: Path, weights_sha256: str) -> "TileNetwork":
    from inkdot.model.model_folder import load_model

    description, network = load_model(folder)
    if description.weights_sha256 != weights_sha256:
        raise StorageError(
            f"{folder}: expected the model that the batch began with, found another; start again"
        )
    return network

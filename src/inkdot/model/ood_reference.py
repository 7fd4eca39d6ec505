"""What a model's training tiles looked like to it, kept beside its weights."""

# pyright: reportUnknownVariableType=false
# safetensors is only partly typed.

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from inkdot.errors import StorageError
from inkdot.metrics.ood_distance import OodNeighbours, fit_reference, limit_for_one_more, ood_distances
from inkdot.model.batches import FeatureArray
from inkdot.storage.atomic import write_bytes
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import ModelLayout
from inkdot.storage.model_files import OodReference

MOST_TILES = 512
"""Training tiles that are kept, evenly over all: a megabyte, and a twentieth of a millisecond per tile that is measured."""

_FEWEST_TILES = 100
_FEWEST_SLIDES = 4
"""With fewer the limit is so wide, or so much chance, that it says nothing."""

_EXCEEDED_BY = 0.01
"""Share of slides like those of training that are warned of for nothing."""


def fit_ood_reference(features: FeatureArray, slides: npt.NDArray[np.str_]) -> OodNeighbours | None:
    """Describe the embeddings of training tiles, shape [n, features]; None where there are too few."""
    if len(features) < _FEWEST_TILES:
        return None
    # As they will be read again, so that the limit is that of the distances it will meet.
    reference = fit_reference(features.astype(np.float16), slides)
    if reference is None:
        return None
    return OodNeighbours(reference.embeddings, reference.reach.astype(np.float32).astype(np.float64))


def write_ood_reference(
    folder: Path, reference: OodNeighbours, medians: Sequence[float]
) -> OodReference | None:
    """Write the description and set the limit; None, and nothing is written, where slides are too few for a limit.

    Args:
        folder: The model's.
        reference: Its training tiles.
        medians: Median distance over the tiles of each validation slide.
    """
    if len(medians) < _FEWEST_SLIDES:
        return None
    path = ModelLayout(folder).reference
    tensors = {
        "embeddings": np.ascontiguousarray(reference.embeddings.astype(np.float16)),
        "reach": reference.reach.astype(np.float32),
    }
    write_bytes(path, save(tensors))
    return OodReference(
        limit=limit_for_one_more(medians, 1.0 - _EXCEEDED_BY),
        slides=len(medians),
        tiles=len(reference.reach),
        reference_sha256=file_sha256(path),
    )


def ood_distance_to(reference: OodNeighbours) -> Callable[[FeatureArray], FeatureArray]:
    """What makes distances, float32 [n], of embeddings, shape [n, features]."""
    return lambda features: ood_distances(features, reference).astype(np.float32)


def read_reference(folder: Path) -> OodNeighbours:
    """The training tiles that a model keeps.

    Raises:
        StorageError: The file is missing or damaged.
    """
    path = ModelLayout(folder).reference
    try:
        tensors = load_file(path)
        return OodNeighbours(tensors["embeddings"].astype(np.float64), tensors["reach"].astype(np.float64))
    except (SafetensorError, OSError, KeyError) as error:
        raise StorageError(
            f"{path}: expected what training tiles were like: {' '.join(str(error).split())}"
        ) from None

"""Embeddings of training tiles, stored beside the weights, for out-of-distribution (OOD) distances."""

# pyright: reportUnknownVariableType=false
# safetensors is only partly typed.

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from inkdot.errors import StorageError
from inkdot.metrics.ood_distance import (
    OodNeighbours,
    batch_limit,
    fit_reference,
    image_limit,
    ood_distances,
    prediction_limit,
)
from inkdot.model.runtimes.batches import FeatureArray
from inkdot.storage.atomic import write_bytes
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import ModelLayout
from inkdot.storage.models.model_records import OodReference

MOST_TILES = 512
"""Training tiles that are stored, evenly over all: a megabyte, and 0.05 ms per scored tile."""

_FEWEST_TILES = 100
_FEWEST_SLIDES = 4
"""With fewer the limit is too uncertain to be of use."""

EXCEEDED_BY = 0.01
"""Accepted share of false warnings, among slides like those of training."""


def fit_ood_reference(features: FeatureArray, slides: npt.NDArray[np.str_]) -> OodNeighbours | None:
    """Fit the reference to embeddings of training tiles, shape [n, features]; None where they are too few."""
    if len(features) < _FEWEST_TILES:
        return None
    # In the precision of the file, so that the limit holds for distances to the stored reference.
    reference = fit_reference(features.astype(np.float16), slides)
    if reference is None:
        return None
    return OodNeighbours(reference.embeddings, reference.reach.astype(np.float32).astype(np.float64))


def write_ood_reference(
    folder: Path, reference: OodNeighbours, medians: Sequence[float]
) -> OodReference | None:
    """Write the reference and choose the limit; with too few slides nothing is written and None is returned.

    Args:
        folder: The model folder.
        reference: Embeddings of its training tiles.
        medians: Median distance over the tiles of each validation slide.
    """
    if len(medians) < _FEWEST_SLIDES:
        return None
    return OodReference(
        limit=prediction_limit(medians, 1.0 - EXCEEDED_BY),
        slides=len(medians),
        tiles=len(reference.reach),
        reference_sha256=_write(folder, reference),
    )


BATCH_IMAGES = 20
"""Images of a batch for which a limit of the median is estimated; smaller batches are not judged as a whole."""

_FEWEST_IMAGES = 20
"""Validation images: with fewer the highest is exceeded by one in twenty."""


def write_image_reference(
    folder: Path, reference: OodNeighbours, distances: FeatureArray, groups: npt.NDArray[np.str_]
) -> OodReference | None:
    """Write the reference of a model of images, one tile each, and choose the limits; None with too few images.

    Args:
        folder: The model folder.
        reference: Embeddings of training images.
        distances: OOD distance of each validation image, shape [n].
        groups: Its patient or original image, shape [n].
    """
    if len(distances) < _FEWEST_IMAGES or len(np.unique(groups)) < _FEWEST_SLIDES:
        return None
    single = image_limit(distances, EXCEEDED_BY)
    return OodReference(
        limit=single.limit,
        slides=len(distances),
        tiles=len(reference.reach),
        reference_sha256=_write(folder, reference),
        false_alarm_rate=single.false_alarm_rate,
        batch_limit=batch_limit(distances, groups, BATCH_IMAGES, share=1.0 - EXCEEDED_BY),
    )


def _write(folder: Path, reference: OodNeighbours) -> str:
    """Write the embeddings; the hash of the file."""
    path = ModelLayout(folder).reference
    tensors = {
        "embeddings": np.ascontiguousarray(reference.embeddings.astype(np.float16)),
        "reach": reference.reach.astype(np.float32),
    }
    write_bytes(path, save(tensors))
    return file_sha256(path)


def make_ood_distance(reference: OodNeighbours) -> Callable[[FeatureArray], FeatureArray]:
    """A function from embeddings, shape [n, features], to distances, float32 [n]."""
    return lambda features: ood_distances(features, reference).astype(np.float32)


def read_ood_reference(folder: Path) -> OodNeighbours:
    """Read the reference of a model folder.

    Raises:
        StorageError: The file is missing or damaged.
    """
    path = ModelLayout(folder).reference
    try:
        tensors = load_file(path)
        return OodNeighbours(tensors["embeddings"].astype(np.float64), tensors["reach"].astype(np.float64))
    except (SafetensorError, OSError, KeyError) as error:
        raise StorageError(
            f"{path}: expected the OOD reference of the model: {' '.join(str(error).split())}"
        ) from None

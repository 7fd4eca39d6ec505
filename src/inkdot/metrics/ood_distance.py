"""Out-of-distribution (OOD) distance: distance of an embedding to its nearest training tiles, relative to theirs.

A trained network spreads the classes it separates and packs the rest together, so no absolute distance is large
everywhere: one that is common among tumour tiles is extreme among lymphocytes. The distance is therefore a simple local
outlier factor (Breunig et al. 2000, doi:10.1145/342009.335388): the distance to the k-th nearest training tile, divided
by the same distance of these neighbours to tiles of other slides.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

FloatArray = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]

NEIGHBOURS: Final = 3
"""Few: a stain that one slide in ten has should still have neighbours of its own."""

_SMALLEST_QUANTILE = 0.05
"""Of the reach; added to both sides of the ratio, since distances between tiles of empty glass are 0."""


class OodNeighbours(NamedTuple):
    """Embeddings of training tiles.

    Attributes:
        embeddings: Shape [m, features].
        reach: Distance of each to its third nearest on other slides, shape [m].
    """

    embeddings: FloatArray
    reach: FloatArray


def fit_reference(features: Floats, slides: npt.NDArray[np.str_]) -> OodNeighbours | None:
    """The reference of training tiles; None where too few lie on other slides.

    Args:
        features: Shape [m, features].
        slides: The slide of each, shape [m].
    """
    embeddings = features.astype(np.float64)
    distances = _distances(embeddings, embeddings)
    distances[slides[:, None] == slides[None, :]] = np.inf
    if len(embeddings) < NEIGHBOURS + 1:
        return None
    reach = np.partition(distances, NEIGHBOURS - 1, axis=1)[:, NEIGHBOURS - 1]
    return OodNeighbours(embeddings, reach) if np.isfinite(reach).all() and reach.max() > 0.0 else None


def ood_distances(features: Floats, reference: OodNeighbours) -> FloatArray:
    """OOD distance of each embedding; 1 is the distance of training tiles from those of other slides.

    Args:
        features: Shape [n, features].
        reference: Of the training tiles.
    """
    distances = _distances(features.astype(np.float64), reference.embeddings)
    nearest = np.argpartition(distances, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    own = np.take_along_axis(distances, nearest, axis=1).max(axis=1)
    smallest = float(np.quantile(reference.reach, _SMALLEST_QUANTILE)) or float(reference.reach.max()) * 1e-3
    ratio: FloatArray = (own + smallest) / (reference.reach[nearest].mean(axis=1) + smallest)
    return ratio


def _distances(one: FloatArray, other: FloatArray) -> FloatArray:
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :] - 2.0 * one @ other.T
    return np.sqrt(np.maximum(squares, 0.0))


def prediction_limit(values: npt.ArrayLike, share: float = 0.99) -> float:
    """Upper prediction limit of a log-normal variable: a further slide of the same kind is below it with probability ``share``.

    It uses a t quantile, hence is wide where slides are few. The highest of ten slides would be exceeded by one further
    slide in eleven.

    Args:
        values: One per slide, more than 0, at least 2 of them.
        share: 0.5 to 1.

    Raises:
        ValueError: There are fewer than two.
    """
    logs = np.log(np.asarray(values, np.float64))
    count = len(logs)
    if count < 2:
        raise ValueError(f"expected at least two slides, found {count}")
    spread = float(logs.std(ddof=1)) * math.sqrt(1.0 + 1.0 / count)
    return math.exp(float(logs.mean()) + float(stdtrit(count - 1, share)) * spread)

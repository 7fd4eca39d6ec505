"""How unlike what a network learnt on a tile looks to it: the distance to its neighbours, by how far these lie apart.

A trained network spreads what it was asked about and packs the rest together, so that no one distance is far everywhere: what
is usual among tumour would be unheard of among lymphocytes. Each tile is therefore measured against its own
surroundings, a simple form of the local outlier factor (Breunig et al. 2000, doi:10.1145/342009.335388): the distance
to the k-th nearest training tile, divided by what that distance is for those neighbours, whose own slides do not count.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

FloatArray = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]

NEIGHBOURS: Final = 3
"""Few: a stain that one slide in ten has should find its own kind near."""

_SMALLEST_QUANTILE = 0.05
"""Added above and below the line of the ratio: empty glass lies on empty glass, and 0 by 0 is no distance."""


class OodNeighbours(NamedTuple):
    """Embeddings of training tiles.

    Attributes:
        embeddings: Shape [m, features].
        reach: Distance of each to its third nearest on other slides, shape [m].
    """

    embeddings: FloatArray
    reach: FloatArray


def fit_reference(features: Floats, slides: npt.NDArray[np.str_]) -> OodNeighbours | None:
    """Describe training tiles; None where too few lie on other slides to measure any by.

    Args:
        features: Shape [m, features].
        slides: The slide of each, shape [m].
    """
    embeddings = features.astype(np.float64)
    apart = _distances(embeddings, embeddings)
    apart[slides[:, None] == slides[None, :]] = np.inf
    if len(embeddings) < NEIGHBOURS + 1:
        return None
    reach = np.partition(apart, NEIGHBOURS - 1, axis=1)[:, NEIGHBOURS - 1]
    return OodNeighbours(embeddings, reach) if np.isfinite(reach).all() and reach.max() > 0.0 else None


def ood_distances(features: Floats, reference: OodNeighbours) -> FloatArray:
    """Distance of each embedding from the training tiles, where 1 is as far as these lie from those of other slides.

    Args:
        features: Shape [n, features].
        reference: Of the training tiles.
    """
    apart = _distances(features.astype(np.float64), reference.embeddings)
    nearest = np.argpartition(apart, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    own = np.take_along_axis(apart, nearest, axis=1).max(axis=1)
    smallest = float(np.quantile(reference.reach, _SMALLEST_QUANTILE)) or float(reference.reach.max()) * 1e-3
    ratio: FloatArray = (own + smallest) / (reference.reach[nearest].mean(axis=1) + smallest)
    return ratio


def _distances(one: FloatArray, other: FloatArray) -> FloatArray:
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :] - 2.0 * one @ other.T
    return np.sqrt(np.maximum(squares, 0.0))


def limit_for_one_more(values: npt.ArrayLike, share: float = 0.99) -> float:
    """The value that one further slide of the same kind stays below with a chance of ``share``.

    The upper prediction limit of a log-normal variable (a t quantile, hence wide where slides are few): the highest of ten
    slides would be passed by one further slide in eleven.

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

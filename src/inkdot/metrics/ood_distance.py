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


class ImageLimit(NamedTuple):
    """A limit for single images.

    Attributes:
        limit: OOD distance above which an image is out of distribution.
        false_alarm_rate: Share (0 to 1) of further images of the same kind that exceed it, at most, in the mean over draws of
            the validation images.
    """

    limit: float
    false_alarm_rate: float


def image_limit(values: npt.ArrayLike, false_alarm_rate: float = 0.01) -> ImageLimit:
    """The limit from single images by split conformal prediction (Vovk et al. 2005; exchangeable images, no distribution).

    The k-th highest of n distances is exceeded by one further image in (n + 1) / k. With fewer than 1 / rate images the
    highest is taken, and the rate is that of it.

    Args:
        values: OOD distance of each validation image, at least one.
        false_alarm_rate: Asked share, 0 to 1, not 0.

    Raises:
        ValueError: There is none.
    """
    ordered = np.sort(np.asarray(values, np.float64))[::-1]
    if not len(ordered):
        raise ValueError("expected at least one image, found none")
    rank = max(1, math.floor(false_alarm_rate * (len(ordered) + 1)))
    return ImageLimit(float(ordered[rank - 1]), rank / (len(ordered) + 1))


def batch_limit(
    values: npt.ArrayLike,
    groups: npt.NDArray[np.str_],
    images: int,
    *,
    share: float = 0.99,
    draws: int = 2000,
    seed: int = 0,
) -> float:
    """Median OOD distance that a batch of images of the same kind stays below with probability ``share``.

    Whole groups (patients, original images) are drawn with replacement until the batch is full, since images of one group
    resemble each other. For larger batches the limit is cautious.

    Args:
        values: OOD distance of each validation image, shape [n].
        groups: Group of each, shape [n].
        images: Size of the batch, at least 1.
        share: 0.5 to 1.
        draws: Number of batches drawn.
        seed: Same seed, same limit.
    """
    distances = np.asarray(values, np.float64)
    rows = [distances[groups == group] for group in np.unique(groups)]
    generator = np.random.default_rng(seed)
    medians: list[float] = []
    for _ in range(draws):
        batch: list[float] = []
        while len(batch) < images:
            batch += rows[int(generator.integers(len(rows)))].tolist()
        medians.append(float(np.median(batch[:images])))
    return float(np.quantile(medians, share, method="higher"))

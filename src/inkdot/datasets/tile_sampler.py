"""Selection of the tiles of a slide for training, their sampling weights and the length of an epoch. NumPy only."""

import hashlib
from typing import NamedTuple

import numpy as np

from inkdot.model.targets import FloatArray, IndexArray, NameArray, TargetArray, known_rows

UNKNOWN = -1

SHORTEST_EPOCH = 2048
"""Tiles of an epoch that rare labels do not shorten further: a handful of them would leave the others untrained."""


class Selection(NamedTuple):
    """Rows of a slide's tile table, ascending, and the number of labelled rows left out."""

    rows: IndexArray
    left_out: int


def strata(targets: TargetArray, head_columns: slice) -> IndexArray:
    """The likeliest class of one head per row, shape [n]; ``UNKNOWN`` where it has no target."""
    own = targets[:, head_columns]
    unknown = np.isnan(own).any(axis=1)
    return np.where(unknown, UNKNOWN, np.argmax(np.nan_to_num(own), axis=1)).astype(np.int64)


def select_rows(
    targets: TargetArray, head_columns: slice, limit: int, seed: int, slide_id: str, *, whole: bool = False
) -> Selection:
    """At most ``limit`` labelled rows per class of the flagging head, drawn evenly at random.

    Args:
        targets: Shape [n, classes of all heads], NaN where unknown.
        head_columns: Columns of the head whose classes are limited.
        limit: Most rows per class; rows known to other heads only count as one more class.
        seed: Same seed and slide, same rows.
        slide_id: The slide.
        whole: Take rows without any label too, as one more class, for training on the slide's label.
    """
    labelled = np.flatnonzero(known_rows(targets) | whole)
    generator = np.random.default_rng([seed, _number(slide_id)])
    chosen: list[IndexArray] = []
    of_row = strata(targets, head_columns)[labelled]
    for stratum in np.unique(of_row):
        rows = labelled[of_row == stratum]
        chosen.append(rows if len(rows) <= limit else generator.choice(rows, limit, replace=False))
    rows = np.sort(np.concatenate(chosen)) if chosen else labelled
    return Selection(rows.astype(np.int64), len(labelled) - len(rows))


def draw_weights(classes: IndexArray, patients: NameArray, slides: NameArray) -> FloatArray:
    """Sampling probability of each row, shape [n], sum 1.

    Classes get equal shares. Within a class, patients and then their slides get shares that grow with the
    square root of their rows: equal shares would repeat the few tiles of a sparse slide too often, and
    shares by count would let one crowded slide outweigh all other patients.

    Args:
        classes: Class of each row, shape [n]; ``UNKNOWN`` counts as one more class.
        patients: Shape [n].
        slides: Shape [n].
    """
    _, of_class = np.unique(classes, return_inverse=True)
    of_patient = _joint(of_class, patients)
    of_slide = _joint(of_patient, slides)
    weights = _shares(of_patient, of_class) * _shares(of_slide, of_patient) / np.bincount(of_slide)[of_slide]
    return weights / weights.sum()


def epoch_tiles(classes: IndexArray, rare_class_draws: float | None) -> int:
    """Number of tiles drawn in an epoch: as many as there are, or fewer where one class is rare.

    Classes get equal shares of an epoch. So with all tiles in an epoch, 220 malignant tiles among 90,000 would each be drawn
    205 times an epoch.

    Args:
        classes: Class of each row, shape [n]; ``UNKNOWN`` counts as one more class.
        rare_class_draws: Most times that an epoch draws a tile of the rarest class, on average; None for no limit.

    Returns:
        At least :data:`SHORTEST_EPOCH`, where there are so many tiles.
    """
    known = classes[classes != UNKNOWN]
    if rare_class_draws is None or not len(known):
        return len(classes)
    rarest = int(np.unique(known, return_counts=True)[1].min())
    shares = len(np.unique(classes))
    return min(len(classes), max(round(rare_class_draws * rarest * shares), SHORTEST_EPOCH))


def steps_per_epoch(tiles: int, batch_size: int) -> int:
    """Whole batches only: a last batch of one tile would ruin the statistics of batch normalisation."""
    return max(1, round(tiles / max(1, min(batch_size, tiles))))


def draw_rows(weights: FloatArray, count: int, generator: np.random.Generator) -> IndexArray:
    """``count`` rows in random order, each drawn its expected number of times to within one.

    Systematic sampling: one random offset, then even steps through the cumulated weights of the shuffled rows.
    """
    order = generator.permutation(len(weights))
    edges = np.cumsum(weights[order])
    points = (np.arange(count) + generator.random()) * (float(edges[-1]) / count)
    # The last edge may round to just below the last point.
    edges[-1] = np.inf
    chosen = order[np.searchsorted(edges, points, side="right")]
    return generator.permutation(chosen)


def _shares(child: IndexArray, parent: IndexArray) -> FloatArray:
    """Of each row, the share of its child group in its parent group, by the square root of the rows."""
    mass = np.sqrt(np.bincount(child), dtype=np.float64)
    _, first = np.unique(child, return_index=True)
    total = np.bincount(parent[first], weights=mass)
    return mass[child] / total[parent]


def _joint(groups: IndexArray, names: NameArray) -> IndexArray:
    _, of_name = np.unique(names, return_inverse=True)
    _, joint = np.unique(groups * (int(of_name.max(initial=0)) + 1) + of_name, return_inverse=True)
    return joint


def _number(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:15], 16)

"""Near-duplicate images: copies saved again, resized, brightened, mirrored or turned by quarters.

Copies on both sides of a split make metrics too good. An image is reduced to 16 × 16 grey values, and two images are
compared by their correlation in all eight orientations. Copies turned by other angles, sheared or cut elsewhere are not
found: only a column that names the original keeps those in one group.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

SIDE: Final = 16
NEAR_DUPLICATE: Final = 0.9
"""Correlation from which two images are taken for copies (docs/explanation/decisions/0051)."""

_BLOCK: Final = 512
_TURNS: Final = 4

Prints = npt.NDArray[np.float32]


class NearDuplicates(NamedTuple):
    """Two near-duplicate images.

    Attributes:
        first: Row of one image.
        second: Row of the other image, larger.
        correlation: −1 to 1.
    """

    first: int
    second: int
    correlation: float


def fingerprint(rgb: npt.NDArray[np.uint8]) -> Prints:
    """Mean grey values, float32 [16, 16], of an image [height, width, 3] of at least 16 pixels a side."""
    grey: Prints = rgb.mean(axis=2, dtype=np.float32)
    return _means(_means(grey).T).T


def find_near_duplicates(
    prints: Prints, groups: npt.NDArray[np.str_], min_correlation: float = NEAR_DUPLICATE
) -> list[NearDuplicates]:
    """Pairs of near-duplicates in different groups, by falling correlation.

    Every pair is compared, block by block, so that memory stays small: 2,000 images take about a second, and ten
    times as many a hundred times as long. An image of one grey value has no near-duplicate.

    Args:
        prints: Shape [n, 16, 16].
        groups: Group of each image, shape [n].
        min_correlation: Correlation from which a pair counts.
    """
    plain = _standardised(prints)
    turned = [_standardised(variant) for variant in _orientations(prints)]
    _, group = np.unique(groups, return_inverse=True)
    pairs: list[NearDuplicates] = []
    for start in range(0, len(prints), _BLOCK):
        own = plain[start : start + _BLOCK]
        best = np.full((len(own), len(prints) - start), -1.0, np.float32)
        for variant in turned:
            np.maximum(best, own @ variant[start:].T, out=best)
        rows, columns = np.nonzero(best >= min_correlation)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            first, second = start + row, start + column
            if first < second and group[first] != group[second]:
                pairs.append(NearDuplicates(first, second, float(best[row, column])))
    return sorted(pairs, key=lambda pair: (-pair.correlation, pair.first, pair.second))


def _means(rows: Prints) -> Prints:
    """Means of 16 bands of rows, as equal as whole rows allow, shape [16, columns]."""
    starts = np.linspace(0, len(rows), SIDE + 1).astype(np.int64)
    sums = np.add.reduceat(rows, starts[:-1], axis=0)
    return (sums / np.diff(starts)[:, None]).astype(np.float32)


def _orientations(prints: Prints) -> Iterator[Prints]:
    for mirrored in (prints, prints[:, :, ::-1]):
        for turns in range(_TURNS):
            yield np.rot90(mirrored, turns, axes=(1, 2))


def _standardised(prints: Prints) -> Prints:
    """Mean 0 and length 1 per image, shape [n, 256]; zeros where all grey values are the same."""
    flat = np.ascontiguousarray(prints).reshape(len(prints), -1)
    centred = flat - flat.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    # Below a hundredth of a grey level there is rounding, not an image.
    return np.where(lengths > 0.01 * SIDE, centred / np.maximum(lengths, 1e-12), 0.0).astype(np.float32)

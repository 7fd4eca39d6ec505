"""What the network makes of a slide's tiles, read and computed at the same time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Final, NamedTuple, cast

import numpy as np
import pyarrow as pa

from inkdot.execution.prefetch import ahead
from inkdot.execution.watchdog import watched
from inkdot.model.batches import GPU_BATCH_SIZE, FeatureArray, LogitArray
from inkdot.model.predictor import Predicted, Predictor, ScoreArray
from inkdot.records import RgbArray, SlideEntry
from inkdot.slides import open_slide
from inkdot.tiling.tile_pixels import read_tiles

AHEAD: Final = 2 * GPU_BATCH_SIZE
"""Tiles read ahead of the network: two batches of the largest."""


class InferredSlide(NamedTuple):
    """What is known of a slide's tiles, in their order.

    Attributes:
        judged: Probabilities and attention.
        distances: How far each tile's embedding lies from those of the training tiles, float32 [n]; None where the model
            cannot tell.
    """

    judged: Predicted
    distances: ScoreArray | None


def infer_tiles(
    entry: SlideEntry,
    tiles: pa.Table,
    scorer: Predictor,
    keep: Callable[[Iterator[FeatureArray]], None] | None = None,
) -> InferredSlide:
    """Read a slide's tiles and run the network on them; what is held in memory is a few numbers per tile.

    Args:
        entry: The slide.
        tiles: Its tile table.
        scorer: The model.
        keep: Takes the embeddings, batches of shape [n, features] in the order of the tiles, until there are no more.

    Raises:
        SlideError: The slide's pixels cannot be read.
    """
    xs = cast("Sequence[int]", tiles.column("x_l0_px").to_pylist())
    ys = cast("Sequence[int]", tiles.column("y_l0_px").to_pylist())
    tiling, distance = scorer.description.tiling, scorer.ood_distance
    logits: list[LogitArray] = []
    distances: list[ScoreArray] = []

    def features(pixels: Iterator[RgbArray]) -> Iterator[FeatureArray]:
        for seen in scorer.seen(pixels):
            logits.append(seen.logits)
            if distance is not None:
                distances.append(distance(seen.features))
            yield seen.features

    with (
        closing(watched(open_slide(entry, dct_scaling=tiling.dct_scaling))) as slide,
        ahead(read_tiles(slide, tiling.spec, xs, ys), AHEAD) as pixels,
    ):
        (keep or _drop)(features(pixels))
    empty = np.zeros(0, np.float32)
    return InferredSlide(
        scorer.judged(logits), None if distance is None else np.concatenate([empty, *distances])
    )


def _drop(batches: Iterator[FeatureArray]) -> None:
    for _ in batches:
        pass

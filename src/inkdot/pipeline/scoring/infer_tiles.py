"""The network on the tiles of a slide, which are read in a thread meanwhile."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple, cast

import numpy as np
import pyarrow as pa

from inkdot.execution.prefetch import dealt, in_turns, prefetch
from inkdot.execution.watchdog import with_heartbeat
from inkdot.model.predictor import Predicted, Predictor, ScoreArray
from inkdot.model.runtimes.batches import GPU_BATCH_SIZE, FeatureArray, LogitArray
from inkdot.records import RgbArray, SlideEntry, TileSpec
from inkdot.slides.unchanged import open_unchanged
from inkdot.tiling.tile_pixels import read_tiles

PREFETCH_TILES: Final = 2 * GPU_BATCH_SIZE
"""Tiles read ahead of the network: two batches of the largest size."""

BLOCK_TILES: Final = 64
"""Tiles that one of several threads reads in a row: neighbours, which share tiles of the file."""


class InferredSlide(NamedTuple):
    """Results for the tiles of a slide, in their order.

    Attributes:
        predicted: Probabilities and attention.
        ood_distances: Distance of each tile's embedding from those of the training tiles, float32 [n]; None where the model
            has no OOD reference.
    """

    predicted: Predicted
    ood_distances: ScoreArray | None


def infer_tiles(
    entry: SlideEntry,
    tiles: pa.Table,
    predictor: Predictor,
    fingerprint: str | None,
    on_features: Callable[[Iterator[FeatureArray]], None] | None = None,
) -> InferredSlide:
    """Read a slide's tiles and run the network on them; memory holds a few numbers per tile.

    Args:
        entry: The slide.
        tiles: Its tile table.
        predictor: The model.
        fingerprint: Of the slide file, as in the footer of the tile table.
        on_features: Consumes the embeddings, batches of shape [n, features] in the order of the tiles.

    Raises:
        SlideError: The slide's pixels cannot be read, or the file is not the one that was tiled.
    """
    tiling, distance = predictor.description.tiling, predictor.ood_distance
    logits: list[LogitArray] = []
    distances: list[ScoreArray] = []

    def features(pixels: Iterator[RgbArray]) -> Iterator[FeatureArray]:
        for batch in predictor.infer(pixels):
            logits.append(batch.logits)
            if distance is not None:
                distances.append(distance(batch.features))
            yield batch.features

    threads = predictor.reading_threads
    with tiles_ahead(
        entry, tiles, tiling.spec, fingerprint, dct_scaling=tiling.dct_scaling, threads=threads
    ) as pixels:
        (on_features or _discard)(features(pixels))
    empty = np.zeros(0, np.float32)
    return InferredSlide(
        predictor.from_logits(logits), None if distance is None else np.concatenate([empty, *distances])
    )


@contextmanager
def tiles_ahead(
    entry: SlideEntry,
    tiles: pa.Table,
    spec: TileSpec,
    fingerprint: str | None,
    *,
    dct_scaling: bool,
    threads: int = 1,
) -> Generator[Iterator[RgbArray]]:
    """The pixels of a slide's tiles in the order of the table, read in threads ahead of the network.

    Args:
        entry: The slide.
        tiles: Its tile table.
        spec: Side and scale of the tiles.
        fingerprint: Of the slide file, as in the footer of the tile table.
        dct_scaling: See ``tiling.dct_scaling``.
        threads: Threads that read, each with the slide opened for itself.

    Raises:
        SlideError: The slide's pixels cannot be read, or the file is not the one that was tiled.
    """
    xs, ys = (cast("Sequence[int]", tiles.column(name).to_pylist()) for name in ("x_l0_px", "y_l0_px"))
    # A slide of a few tiles is read sooner than opened twice.
    rows_of_threads = dealt(len(xs), max(1, min(threads, len(xs) // BLOCK_TILES)), BLOCK_TILES)
    with ExitStack() as stack:
        streams: list[Iterator[RgbArray]] = []
        for rows in rows_of_threads:
            slide = stack.enter_context(open_unchanged(entry, fingerprint, dct_scaling=dct_scaling))
            read = read_tiles(
                with_heartbeat(slide), spec, [xs[row] for row in rows], [ys[row] for row in rows]
            )
            depth = max(BLOCK_TILES, PREFETCH_TILES // len(rows_of_threads))
            streams.append(stack.enter_context(prefetch(read, depth)))
        yield in_turns(streams, BLOCK_TILES)


def _discard(batches: Iterator[FeatureArray]) -> None:
    for _ in batches:
        pass

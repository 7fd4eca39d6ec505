"""What embedding a batch will cost, before it starts: tiles, time by a short timing of the encoder, bytes on disk."""

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np

from inkdot.errors import StorageError
from inkdot.model.frozen_encoder import FrozenEncoder
from inkdot.records import RgbArray
from inkdot.storage.disk import readable_bytes
from inkdot.storage.embeddings.slide_embeddings import EmbeddingDtype
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.parquet_tables import read_table

_TIMED_SECONDS: Final = 1.0
_TILES_AT_ONCE: Final = 32
_COORD_BYTES: Final = 16
_FILE_BYTES: Final = 8192
"""Names, attributes and metadata of one file."""
_ITEM_BYTES: Final[dict[EmbeddingDtype, int]] = {"float16": 2, "float32": 4}


@dataclass(frozen=True, slots=True)
class EmbeddingCost:
    """Cost of a batch.

    Attributes:
        slides: Slides with tiles.
        tiles: Their tiles.
        tiles_per_second: Of the encoder on this machine.
        disk_bytes: Size of the files.
    """

    slides: int
    tiles: int
    tiles_per_second: float
    disk_bytes: int

    @property
    def seconds(self) -> float:
        """Estimated time of the encoder."""
        return self.tiles / self.tiles_per_second

    def line(self, encoder: FrozenEncoder) -> str:
        """The cost in one line."""
        return (
            f"encoder {encoder.name} ({encoder.runtime}, {encoder.precision}): {self.tiles_per_second:,.1f} tiles/s; "
            f"{self.tiles:,} tiles of {self.slides} slides: about {readable_seconds(self.seconds)}, "
            f"{readable_bytes(self.disk_bytes)}"
        )


def tile_counts(slide_ids: Iterable[str], layout: RunLayout) -> dict[str, int]:
    """Number of tiles of each slide; slides without a valid table are left out."""
    counts: dict[str, int] = {}
    for slide_id in slide_ids:
        with suppress(StorageError):
            counts[slide_id] = read_table(layout.tiles(slide_id), TILES_VERSION)[0].num_rows
    return counts


def embedding_cost(counts: Iterable[int], encoder: FrozenEncoder, dtype: EmbeddingDtype) -> EmbeddingCost:
    """The cost of embedding slides.

    Args:
        counts: Number of tiles of each slide.
        encoder: The encoder; it runs for a second or two.
        dtype: Stored precision.
    """
    slides = list(counts)
    row_bytes = encoder.feature_count * _ITEM_BYTES[dtype] + _COORD_BYTES
    disk = sum(slides) * row_bytes + len(slides) * _FILE_BYTES
    return EmbeddingCost(len(slides), sum(slides), measured_tiles_per_second(encoder), disk)


def measured_tiles_per_second(encoder: FrozenEncoder) -> float:
    """Tiles per second of an encoder on tiles of noise in memory, for about a second after a first batch."""
    generator = np.random.default_rng(0)
    shape = (_TILES_AT_ONCE, encoder.side_px, encoder.side_px, 3)
    tiles: list[RgbArray] = list(generator.integers(0, 256, shape, dtype=np.uint8))

    def endless() -> Iterator[RgbArray]:
        while True:
            yield from tiles

    done, start = 0, 0.0
    for index, batch in enumerate(encoder.features(endless())):
        now = time.perf_counter()
        if index == 0:
            start = now
            continue
        done += len(batch)
        if now - start >= _TIMED_SECONDS:
            return done / (now - start)
    raise AssertionError("tiles never end")


def readable_seconds(seconds: float) -> str:
    """Format a duration to two units, e.g. ``2 h 5 min``."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // (24 * 60)} d {minutes % (24 * 60) // 60} h"

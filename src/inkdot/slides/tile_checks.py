"""Checks the encoded tiles under what is read of a slide by OpenSlide, each once (docs/explanation/decisions/0270)."""

import math
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import numpy as np

from inkdot.records import ReadPlan, SlideInfo
from inkdot.slides.structure.dicom_frames import dicom_tiles
from inkdot.slides.structure.encoded_tiles import EncodedTiles, tiff_tiles
from inkdot.slides.structure.mirax_frames import mirax_tiles

SAMPLED_TILES: Final = 2000
"""Tiles of a slide that are looked at where not all can be: 131 million pixels of 256 px a side, a third of a second."""

_SHIFTED: Final = frozenset({"leica", "trestle", "ventana"})
"""Formats, as OpenSlide names them, whose tiles or pages it moves: which lie under a rectangle is not known here."""

_SCALED_IN_DECODER: Final = "hamamatsu"
"""OpenSlide makes coarser levels of NDPI than the file has, from its coarsest."""


class DamagedTileError(Exception):
    """A tile whose decoder warns of damage; the message is the decoder's.

    Args:
        reason: What the decoder says.
        where: Which tile it is, for a message.
    """

    def __init__(self, reason: str, where: str) -> None:
        super().__init__(reason)
        self.where = where


class TileChecks:
    """The tiles of the levels of a slide, and which of them are known to be sound.

    Args:
        path: The slide file.
        info: Its metadata from OpenSlide.
    """

    def __init__(self, path: Path, info: SlideInfo) -> None:
        self._info = info
        self._tiles = encoded_tiles(path, info)
        self._scaled = info.vendor == _SCALED_IN_DECODER
        placed = [] if info.vendor in _SHIFTED else [tiles for tiles in self._tiles if tiles.in_place]
        self._of_level = [_tiles_of(size, placed, scaled=self._scaled) for size in info.level_sizes_px]
        self._sound = {id(tiles): np.zeros(len(tiles.offsets), np.bool_) for tiles in placed}
        self._files = TileFiles()
        self._lock = threading.Lock()

    def check(self, plan: ReadPlan) -> None:
        """Decode the tiles under a rectangle that have not been, where their places are known.

        Raises:
            DamagedTileError: One of them is damaged; it is decoded, and named, each time.
        """
        tiles = self._of_level[plan.level]
        if tiles is None:
            return
        sound = self._sound[id(tiles)]
        with self._lock:
            for index in self._under(tiles, plan):
                if not sound[index]:
                    self._files.check(tiles, index, self._named(tiles, index, plan.level))
                    sound[index] = True

    def check_unplaced(self) -> None:
        """Decode some tiles of levels whose tiles are not found by place: up to :data:`SAMPLED_TILES`, evenly spaced.

        Raises:
            DamagedTileError: One of them is damaged.
        """
        known = {id(tiles) for tiles in self._of_level}
        unplaced = [tiles for tiles in self._tiles if id(tiles) not in known]
        if None in self._of_level:
            self._files.check_some(unplaced)

    def _under(self, tiles: EncodedTiles, plan: ReadPlan) -> Iterator[int]:
        """Numbers of the tiles that a rectangle touches, with one pixel around it, which is interpolated."""
        spans: list[range] = []
        downsample = self._info.level_downsamples[plan.level]
        starts = plan.x_l0_px / downsample, plan.y_l0_px / downsample
        lengths = plan.width_level_px, plan.height_level_px
        for axis, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            size = tiles.size_px[axis]
            factor = size / self._info.level_sizes_px[plan.level][axis] if self._scaled else 1.0
            first, last = math.floor((start - 1) * factor), math.ceil((start + length + 1) * factor)
            side = tiles.tile_size_px[axis]
            end = math.ceil(size / side)
            spans.append(
                range(
                    max(0, math.floor(first / side) - tiles.margin),
                    min(end, math.floor(last / side) + 1 + tiles.margin),
                )
            )
        for row in spans[1]:
            for column in spans[0]:
                yield row * tiles.columns + column

    def _named(self, tiles: EncodedTiles, index: int, level: int) -> str:
        row, column = divmod(index, tiles.columns)
        x, y = (
            round(place * side * whole / own)
            for place, side, whole, own in zip(
                (column, row), tiles.tile_size_px, self._info.size_l0_px, tiles.size_px, strict=True
            )
        )
        return f"at column {column}, row {row} of level {level}, level-0 px ({x}, {y})"

    def close(self) -> None:
        """Close the files."""
        self._files.close()


def encoded_tiles(path: Path, info: SlideInfo) -> list[EncodedTiles]:
    """The levels of a slide whose encoded tiles can be checked; none for other formats.

    Args:
        path: The slide file.
        info: Its metadata from OpenSlide.
    """
    if info.vendor == "mirax":
        return mirax_tiles(path, info.level_sizes_px)
    return dicom_tiles(path) if info.vendor == "dicom" else tiff_tiles(path)


class TileFiles:
    """The files that hold encoded tiles, opened when they are needed."""

    def __init__(self) -> None:
        self._open: dict[Path, BinaryIO] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self, tiles: EncodedTiles, index: int, place: str) -> None:
        """Decode one tile; an empty one is sound.

        Args:
            tiles: Those of its level.
            index: Which of them.
            place: Where it is, for the message.

        Raises:
            DamagedTileError: It is damaged.
        """
        length = int(tiles.lengths[index])
        if not length:
            return
        try:
            path = tiles.path_of(index)
            if path not in self._open:
                self._open[path] = path.open("rb", buffering=0)
            self._open[path].seek(int(tiles.offsets[index]))
            data = self._open[path].read(length)
            if len(data) != length:
                raise ValueError("the file ends before it")
            tiles.check(data)
        except (OSError, ValueError) as error:
            raise DamagedTileError(str(error), f"found a damaged tile {place}") from None

    def check_some(self, levels: Sequence[EncodedTiles], most: int = SAMPLED_TILES) -> None:
        """Decode some tiles of some levels, evenly spaced.

        Args:
            levels: The levels.
            most: Maximum number of tiles, all levels together.

        Raises:
            DamagedTileError: One of them is damaged.
        """
        step = max(1, math.ceil(sum(len(tiles.offsets) for tiles in levels) / most))
        for tiles in levels:
            width, height = tiles.size_px
            for index in range(0, len(tiles.offsets), step):
                self.check(tiles, index, f"number {index} of the level of {width} x {height} px")

    def close(self) -> None:
        """Close all."""
        for file in self._open.values():
            file.close()
        self._open.clear()


def _tiles_of(size: tuple[int, int], placed: Sequence[EncodedTiles], *, scaled: bool) -> EncodedTiles | None:
    """The tiles of a level: a format may fill up the last ones, or state their size."""

    def fits(tiles: EncodedTiles) -> bool:
        if any(own < side for own, side in zip(tiles.size_px, size, strict=True)):
            return False
        beyond = (own - side for own, side in zip(tiles.size_px, size, strict=True))
        return scaled or all(more < tile for more, tile in zip(beyond, tiles.tile_size_px, strict=True))

    return min(filter(fits, placed), key=lambda tiles: tiles.size_px[0] * tiles.size_px[1], default=None)

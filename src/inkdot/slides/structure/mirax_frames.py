"""Where the JPEG images of a MIRAX slide lie in its data files, by its index (``openslide-vendor-mirax.c`` of OpenSlide)."""

import configparser
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from inkdot.slides.structure.encoded_tiles import EncodedTiles

_VERSION: Final = b"01.02"
_ZOOM: Final = "Slide zoom level"
_MOST_PAGES: Final = 1_000_000
_RECORD: Final = struct.Struct("<4i")


def mirax_tiles(path: Path, sizes_px: Sequence[tuple[int, int]]) -> list[EncodedTiles]:
    """The levels whose images are JPEG, finest first; none where the slide does not have the form that is followed.

    Args:
        path: The file ``.mrxs``, beside the folder of its data.
        sizes_px: Width and height of every level from OpenSlide.
    """
    folder = path.with_suffix("")
    slidedat = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        slidedat.read_string((folder / "Slidedat.ini").read_text(encoding="utf-8-sig", errors="replace"))
        return _levels(folder, slidedat, sizes_px)
    except (OSError, ValueError, KeyError, struct.error, configparser.Error):
        return []


def _levels(
    folder: Path, slidedat: configparser.ConfigParser, sizes_px: Sequence[tuple[int, int]]
) -> list[EncodedTiles]:
    general, hierarchy, data = slidedat["GENERAL"], slidedat["HIERARCHICAL"], slidedat["DATAFILE"]
    across, down = int(general["IMAGENUMBER_X"]), int(general["IMAGENUMBER_Y"])
    if hierarchy["HIER_0_NAME"] != _ZOOM or min(across, down) < 1:
        return []
    paths = tuple(folder / data[f"FILE_{number}"] for number in range(int(data["FILE_COUNT"])))
    found: list[EncodedTiles] = []
    images_a_side = 1
    with (folder / hierarchy["INDEXFILE"]).open("rb") as index:
        if index.read(len(_VERSION)) != _VERSION:
            return []
        index.seek(len(_VERSION) + len(general["SLIDE_ID"]))
        root = _number(index)
        for level, size in enumerate(sizes_px):
            section = slidedat[hierarchy[f"HIER_0_VAL_{level}_SECTION"]]
            images_a_side <<= int(section["IMAGE_CONCAT_FACTOR"])
            if section["IMAGE_FORMAT"] != "JPEG":
                continue
            index.seek(root + 4 * level)
            columns, rows = -(-across // images_a_side), -(-down // images_a_side)
            # Of each tile: offset, length and file.
            table = np.zeros((3, columns * rows), np.int64)
            for image, *place in _records(index):
                row, column = divmod(image, across)
                table[:, row // images_a_side * columns + column // images_a_side] = place
            found.append(
                EncodedTiles(
                    paths=paths,
                    file_numbers=table[2],
                    size_px=size,
                    tile_size_px=(size[0] / columns, size[1] / rows),
                    columns=columns,
                    offsets=table[0],
                    lengths=table[1],
                    margin=1,  # images overlap, by how much says each slide
                )
            )
    return found


def _records(index: BinaryIO) -> Iterator[tuple[int, int, int, int]]:
    """Number of the image, offset, length and file of every image of a level, from its pages."""
    index.seek(_number(index))
    if _number(index) != 0:
        raise ValueError("no start of a list of pages")
    page = _number(index)
    for _ in range(_MOST_PAGES):
        if not page:
            return
        index.seek(page)
        count, page = _number(index), _number(index)
        data = index.read(_RECORD.size * count)
        yield from _RECORD.iter_unpack(data)  # pyright: ignore[reportReturnType]
    raise ValueError("a list of pages without end")


def _number(file: BinaryIO) -> int:
    return int(struct.unpack("<i", file.read(4))[0])

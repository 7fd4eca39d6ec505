"""Embeddings of other programs: HDF5 files as TRIDENT, CLAM and STAMP write and read them.

What each writes, by its source (2026-11): TRIDENT ``trident/IO.py`` (``save_h5``, ``coords_to_h5``, ``read_coords``,
``read_coords_legacy``), CLAM ``extract_features_fp.py`` and ``wsi_core/wsi_utils.py`` (``save_hdf5``), STAMP
``stamp/preprocessing/__init__.py`` (``extract_``) and ``stamp/modeling/data.py`` (``get_coords``).

CLAM's training also reads ``pt_files``, which are pickles and are neither read nor written here.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# h5py is only partly typed.

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import h5py
import numpy as np
import numpy.typing as npt

from inkdot.errors import StorageError
from inkdot.records import SlideInfo, TileSpec
from inkdot.storage.atomic import atomic_path
from inkdot.storage.embeddings.foreign_tiles import ForeignSource, ForeignTiles, clam_tiles, stamp_tiles
from inkdot.storage.embeddings.hdf5_files import number_dataset, open_hdf5, plain_attributes
from inkdot.storage.embeddings.slide_embeddings import (
    COORDS,
    FEATURES,
    METADATA,
    CoordArray,
    Embeddings,
    FloatArray,
    read_embeddings_file,
    trident_attributes,
)
from inkdot.storage.hashing import json_sha256
from inkdot.storage.record_json import tile_spec_json
from inkdot.units import MicrometresPerPixel, TilePx

Format = Literal["trident", "clam", "stamp"]

_STAMP_FEATURES: Final = "feats"
_ROWS_AT_ONCE: Final = 4096


def read_any(path: Path, source: ForeignSource) -> Embeddings:
    """Read embeddings of any program, Inkdot's own included; see :func:`read_foreign`."""
    with open_hdf5(path) as file:
        own = METADATA in file.attrs
    return read_embeddings_file(path) if own else read_foreign(path, source)


def read_foreign(path: Path, source: ForeignSource) -> Embeddings:
    """Read embeddings that TRIDENT, CLAM or STAMP wrote; the format is found from the file.

    Values are as in the file, float32 where it has float64. ``tiles_sha256`` is None, since the rows are those of no tile
    table, and the hash of the encoder is one of its name, which equals that of no encoder that Inkdot ran.

    Args:
        path: The file.
        source: What the file does not state.

    Raises:
        StorageError: The file is damaged, holds no embeddings of tiles, or encoder or geometry are stated nowhere.
    """
    with open_hdf5(path) as file:
        format_ = foreign_format(file)
        name = _STAMP_FEATURES if format_ == "stamp" else FEATURES
        features, coords = number_dataset(file, name, "f"), number_dataset(file, COORDS, "iuf")
        if features is None or coords is None:
            raise StorageError(
                f"{path}: expected the datasets {name} and coords, found {', '.join(sorted(map(str, file))) or 'none'}"
            )
        attributes = {**plain_attributes(file.attrs), **plain_attributes(coords.attrs)}
        values, corners = _rows(path, features), _rows(path, coords, columns=2)
    if len(values) != len(corners):
        raise StorageError(
            f"{path}: expected one row of {name} per tile, found {len(values)} for {len(corners)} tiles; "
            "embeddings of whole slides cannot be used"
        )
    if format_ == "stamp":
        tiles, placed = stamp_tiles(path, attributes, corners, source)
    else:
        tiles, placed = clam_tiles(path, attributes, source), np.asarray(corners, np.float64)
    if tiles.side_px < 1 or tiles.side_l0_px <= 0:
        raise StorageError(
            f"{path}: expected tiles of a side above 0, found {tiles.side_px} px; make the file again"
        )
    return Embeddings(
        _finite(path, values),
        _level0(path, placed, source.slide),
        _metadata(path, format_, attributes, tiles, source, values),
    )


def foreign_format(file: h5py.File) -> Format:
    """The program that wrote a file, by its names."""
    if _STAMP_FEATURES in file:
        return "stamp"
    coords = file.get(COORDS, getlink=True)
    known = isinstance(coords, h5py.HardLink) and "target_magnification" in file[COORDS].attrs
    return "trident" if known else "clam"


def write_foreign(path: Path, format_: Format, slide_id: str, embeddings: Embeddings) -> None:
    """Write embeddings as another program reads them.

    Args:
        path: The file.
        format_: The program.
        slide_id: The slide.
        embeddings: Inkdot's own, with ``tile_spec`` and ``mpp``.
    """
    metadata = embeddings.metadata
    with atomic_path(path) as temporary, h5py.File(temporary, "w", locking=False) as file:
        if format_ == "stamp":
            spec, mpp = metadata["tile_spec"], float(metadata["mpp"][0])
            _write(file, _STAMP_FEATURES, embeddings.values, embeddings.values.dtype.str)
            file[COORDS] = (embeddings.coords * mpp).astype("<f4")
            file.attrs["extractor"] = metadata["encoder"]
            file.attrs["unit"] = "um"
            file.attrs["tile_size_um"] = float(spec["side_px"]) * float(spec["mpp"])
            file.attrs["tile_size_px"] = int(spec["side_px"])
            file.attrs["feat_type"] = "tile"
            return
        if format_ == "clam":
            _write(file, FEATURES, embeddings.values, "<f4")
            placed, attributes = embeddings.coords.astype("<i4"), _clam_attributes(slide_id, metadata)
        else:
            _write(file, FEATURES, embeddings.values, embeddings.values.dtype.str)
            placed, attributes = embeddings.coords, trident_attributes(slide_id, metadata)
        coords = file.create_dataset(COORDS, data=placed)
        for name, value in attributes.items():
            coords.attrs[name] = value


def _clam_attributes(slide_id: str, metadata: Mapping[str, Any]) -> dict[str, str | int | float]:
    """Attributes of CLAM's files of tiles: sides count in pixels of a level, here level 0, and are then shrunk."""
    side_px = int(metadata["tile_spec"]["side_px"])
    side_l0_px = int(trident_attributes(slide_id, metadata)["patch_size_level0"])
    return {
        "patch_size": side_l0_px,
        "patch_level": 0,
        "custom_downsample": side_l0_px / side_px,
        "name": slide_id,
    }


def _write(file: h5py.File, name: str, values: FloatArray, dtype: str) -> None:
    dataset = file.create_dataset(name, values.shape, dtype)
    for first in range(0, len(values), _ROWS_AT_ONCE):
        dataset[first : first + _ROWS_AT_ONCE] = values[first : first + _ROWS_AT_ONCE].astype(dtype)


def _rows(path: Path, dataset: h5py.Dataset, columns: int | None = None) -> npt.NDArray[Any]:
    """A dataset of shape [rows, columns]; a leading axis of one slide is dropped."""
    shape = dataset.shape[1:] if len(dataset.shape) == 3 and dataset.shape[0] == 1 else dataset.shape
    if len(shape) != 2 or (columns is not None and shape[1] != columns):
        name = str(dataset.name).lstrip("/")
        raise StorageError(
            f"{path}: expected {name} of shape [tiles, {columns or 'dims'}], found {list(dataset.shape)}; "
            "embeddings of whole slides cannot be used"
        )
    values = np.asarray(dataset[()]).reshape(shape)
    return values.astype(np.float32) if values.dtype.itemsize > 4 and values.dtype.kind == "f" else values


def _finite(path: Path, values: FloatArray) -> FloatArray:
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise StorageError(
            f"{path}: expected finite embeddings, found NaN or infinity in row {row}; make it again"
        )
    return values


def _level0(path: Path, corners: npt.NDArray[np.float64], slide: SlideInfo) -> CoordArray:
    """Corners rounded to level-0 pixels; those outside of the slide show that file or scale are another slide's."""
    if len(corners) and not (
        np.isfinite(corners).all()
        and (corners > -max(slide.size_l0_px)).all()
        and (corners < slide.size_l0_px).all()
    ):
        raise StorageError(
            f"{path}: expected tiles on a slide of {slide.size_l0_px[0]} × {slide.size_l0_px[1]} px, found tiles outside of it; "
            "give the file of this slide"
        )
    return np.rint(corners).astype(np.int64)


def _metadata(
    path: Path,
    format_: Format,
    attributes: Mapping[str, Any],
    tiles: ForeignTiles,
    source: ForeignSource,
    values: FloatArray,
) -> dict[str, Any]:
    slide, encoder = source.slide, source.encoder or str(attributes.get("extractor", ""))
    if not encoder:
        raise StorageError(
            f"{path}: expected the name of the encoder, found none in the file; give it with --encoder"
        )
    mpp = tiles.side_l0_px * slide.mpp.x / tiles.side_px
    spec = TileSpec(TilePx(tiles.side_px), MicrometresPerPixel(mpp), TilePx(tiles.side_px - tiles.overlap_px))
    return {
        "format": format_,
        "row": "tile",
        "rows": len(values),
        "dims": values.shape[1],
        "dtype": values.dtype.name,
        "encoder": encoder,
        "encoder_sha256": json_sha256(["named", encoder]),
        "tiles_sha256": None,
        "tile_spec": tile_spec_json(spec),
        "mpp": [slide.mpp.x, slide.mpp.y],
        "size_l0_px": list(slide.size_l0_px),
        "synthetic": slide.synthetic,
    }

"""Embeddings of tiles or clusters: ``embeddings/<slide_id>.h5``, one file per slide.

Two datasets, ``features`` and ``coords``, named and attributed as TRIDENT does, so that TRIDENT and CLAM read the file as it
is. Inkdot's own metadata are one JSON object in the attribute ``inkdot`` of the file, with the hash of the numbers.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# h5py is only partly typed.

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import h5py
import numpy as np
import numpy.typing as npt

from inkdot.bounded_json import parse_json
from inkdot.errors import StorageError
from inkdot.storage.atomic import atomic_path
from inkdot.storage.embeddings.hdf5_files import (
    damaged,
    number_dataset,
    open_hdf5,
    plain_attributes,
    read_array,
)
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import EMBEDDINGS_VERSION, made_by

FloatArray = npt.NDArray[np.floating[Any]]
CoordArray = npt.NDArray[np.int64]
Row = Literal["tile", "cluster"]
EmbeddingDtype = Literal["float16", "float32"]

FEATURES: Final = "features"
COORDS: Final = "coords"
METADATA: Final = "inkdot"

_DTYPES: Final[dict[EmbeddingDtype, str]] = {"float16": "<f2", "float32": "<f4"}
_BINDING = ("tiles_sha256", "encoder", "encoder_sha256", "tile_spec", "mpp")
_REQUIRED = (*_BINDING, "row", "rows", "dims", "dtype", "array_sha256")
_MAGNIFICATION_MPP: Final = 10.0
"""Magnification times µm per pixel, as TRIDENT and most viewers have it: 0.5 µm per pixel is 20x."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One slide's embeddings.

    Attributes:
        values: float16 or float32 of shape [rows, dims]; mapped from the file where it is Inkdot's own.
        coords: int64 of shape [rows, 2]: x and y of the top left corner in level-0 pixels.
        metadata: JSON values: ``encoder``, ``encoder_sha256``, ``tile_spec``, ``tiles_sha256``, ``row`` and more.
    """

    values: FloatArray
    coords: CoordArray
    metadata: Mapping[str, Any]

    @property
    def row(self) -> Row:
        """Unit of a row: a row of ``tiles/`` or of ``clusters/``, in the same order."""
        return cast(Row, self.metadata["row"])


def write_embeddings(
    layout: RunLayout,
    slide_id: str,
    batches: Iterable[FloatArray],
    *,
    coords: npt.NDArray[np.integer[Any]],
    dims: int,
    dtype: EmbeddingDtype,
    row: Row,
    metadata: Mapping[str, Any],
) -> None:
    """Write one slide's embeddings batch by batch, so that they need not fit into memory.

    Args:
        layout: The run or results folder.
        slide_id: The slide.
        batches: Arrays of shape [n, dims], together as many rows as ``coords``, in the order of the table.
        coords: Top left corners in level-0 pixels, x before y, shape [rows, 2].
        dims: Dimensions of an embedding.
        dtype: Stored precision; float16 halves the disk space and is enough for heads and attention.
        row: Unit of a row.
        metadata: JSON values, with ``tiles_sha256``, ``encoder``, ``encoder_sha256``, ``tile_spec`` (see
            :func:`inkdot.storage.record_json.tile_spec_json`) and ``mpp`` (µm per level-0 pixel, x and y), and
            ``clusters_sha256`` where a row is a cluster.

    Raises:
        StorageError: A number is NaN or infinite, or too large for float16.
        ValueError: A binding value is missing, or the batches do not add up to the stated shape.
    """
    binding = (*_BINDING, *(("clusters_sha256",) if row == "cluster" else ()))
    if missing := [name for name in binding if name not in metadata]:
        raise ValueError(f"expected metadata with {', '.join(binding)}, found no {missing[0]}")
    path, corners = layout.embeddings(slide_id), np.ascontiguousarray(coords, dtype="<i8")
    if corners.ndim != 2 or corners.shape[1] != 2:
        raise ValueError(f"expected coords of shape [rows, 2], found {list(corners.shape)}")
    digest = hashlib.sha256()
    with atomic_path(path) as temporary, h5py.File(temporary, "w", locking=False) as file:
        # In one piece: readers map it into memory.
        features = file.create_dataset(FEATURES, (len(corners), dims), _DTYPES[dtype])
        done = 0
        for batch in batches:
            if batch.ndim != 2 or batch.shape[1] != dims:
                raise ValueError(f"expected batches of shape [n, {dims}], found {list(batch.shape)}")
            stored = _stored(batch, dtype, path.name, done)
            if done + len(stored) <= len(corners):
                features[done : done + len(stored)] = stored
            digest.update(stored.tobytes())
            done += len(stored)
        if done != len(corners):
            raise ValueError(f"expected {len(corners)} rows of embeddings, found {done}")
        placed = file.create_dataset(COORDS, data=corners)
        digest.update(corners.tobytes())
        features.attrs["name"] = slide_id
        for name, value in trident_attributes(slide_id, metadata).items():
            placed.attrs[name] = value
        own = {
            **metadata, "version": EMBEDDINGS_VERSION, "row": row, "rows": done, "dims": dims, "dtype": dtype,
            "array_sha256": digest.hexdigest(),
        }  # fmt: skip
        file.attrs[METADATA] = json.dumps(own, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _stored(batch: FloatArray, dtype: EmbeddingDtype, name: str, first_row: int) -> FloatArray:
    """A batch in the stored precision.

    Raises:
        StorageError: It has numbers that are not finite, or that the precision cannot hold.
    """

    def first_wrong(wrong: npt.NDArray[np.bool_]) -> tuple[str, float]:
        row, column = (int(index) for index in np.argwhere(wrong)[0])
        return f"{name}, row {first_row + row}", float(batch[row, column])

    if not np.isfinite(batch).all():
        where, found = first_wrong(~np.isfinite(batch))
        raise StorageError(f"{where}: expected finite embeddings, found {found}; check the encoder's weights")
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(batch, dtype=_DTYPES[dtype])
    if not np.isfinite(stored).all():
        where, found = first_wrong(~np.isfinite(stored))
        raise StorageError(
            f"{where}: expected embeddings up to {np.finfo(np.float16).max:g}, as {dtype} holds them, found {found:g}; "
            "run `inkdot embed` with --dtype float32"
        )
    return cast(FloatArray, stored)


def trident_attributes(slide_id: str, metadata: Mapping[str, Any]) -> dict[str, str | int | float]:
    """Attributes of the coordinates as TRIDENT writes them (``trident/IO.py``, ``coords_to_h5``).

    Magnifications are 10 / (µm per pixel), not rounded to the steps of objectives: their ratio is the exact one of the sides.
    """
    spec, mpp = metadata["tile_spec"], float(metadata["mpp"][0])
    attributes: dict[str, str | int | float] = {
        "patch_size": int(spec["side_px"]),
        "patch_size_level0": round(spec["side_px"] * spec["mpp"] / mpp),
        "level0_magnification": _whole(_MAGNIFICATION_MPP / mpp),
        "target_magnification": _whole(_MAGNIFICATION_MPP / spec["mpp"]),
        "overlap": int(spec["side_px"]) - int(spec["stride_px"]),
        "name": slide_id,
        "savetodir": ".",
    }
    if size := metadata.get("size_l0_px"):
        attributes |= {"level0_width": int(size[0]), "level0_height": int(size[1])}
    return attributes


def _whole(value: float) -> int | float:
    return round(value) if abs(value - round(value)) < 1e-6 else value


def read_embeddings(layout: RunLayout, slide_id: str) -> Embeddings:
    """Read one slide's embeddings of a run or results folder, and check them against their hash.

    Raises:
        StorageError: The file is missing or damaged, of another version, or its numbers are not those it describes.
    """
    path = layout.embeddings(slide_id)
    if not path.exists():
        raise missing_embeddings(path)
    return read_embeddings_file(path)


def read_embeddings_file(path: Path) -> Embeddings:
    """Read a file that Inkdot wrote; see :func:`read_embeddings`. For those of others see ``embedding_formats``."""
    with open_hdf5(path) as file:
        metadata = _metadata(path, file)
        features, coords = number_dataset(file, FEATURES, "f"), number_dataset(file, COORDS, "i")
        stated = (metadata["rows"], metadata["dims"], metadata["dtype"])
        found = None if features is None else (*features.shape, features.dtype.name)
        if features is None or coords is None or found != stated or coords.shape != (stated[0], 2):
            raise damaged(
                path, ValueError(f"its shape is not {stated[0]} rows of {stated[1]} {stated[2]} numbers")
            )
        values, corners = read_array(features), np.array(coords[()], dtype=np.int64)
    digest = hashlib.sha256(np.ascontiguousarray(values).data if values.size else b"")
    digest.update(corners.astype("<i8").tobytes())
    if digest.hexdigest() != metadata["array_sha256"]:
        raise damaged(path, ValueError("its numbers are not those of its hash"))
    return Embeddings(values, corners, metadata)


def read_embeddings_metadata(layout: RunLayout, slide_id: str) -> dict[str, Any]:
    """Read the metadata of a slide's embeddings, without the numbers.

    Raises:
        StorageError: The file is missing or damaged, or of another version.
    """
    path = layout.embeddings(slide_id)
    if not path.exists():
        raise missing_embeddings(path)
    with open_hdf5(path) as file:
        return _metadata(path, file)


def missing_embeddings(path: Path) -> StorageError:
    """The error for a slide without embeddings; one of an earlier version is named."""
    found = f"{path.stem}.npy of version 1" if path.with_suffix(".npy").exists() else "nothing there"
    return StorageError(
        f"{path}: expected embeddings of version {EMBEDDINGS_VERSION}, found {found}; "
        f"run {made_by(EMBEDDINGS_VERSION)}"
    )


def _metadata(path: Path, file: h5py.File) -> dict[str, Any]:
    text = plain_attributes(file.attrs).get(METADATA)
    try:
        data: object = parse_json(text) if isinstance(text, str) else {}
    except ValueError as error:
        raise damaged(path, error) from None
    metadata = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    if metadata.get("version") != EMBEDDINGS_VERSION:
        raise StorageError(
            f"{path}: expected version {EMBEDDINGS_VERSION}, found {metadata.get('version')}; "
            f"run {made_by(EMBEDDINGS_VERSION)} again"
        )
    if missing := [name for name in _REQUIRED if name not in metadata]:
        raise StorageError(f"{path}: expected the key {missing[0]}, found none; delete it and run again")
    return metadata

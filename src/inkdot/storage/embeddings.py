"""Embeddings of tiles or clusters: ``embeddings/<slide_id>.npy`` with its metadata in a JSON file beside it.

The array is a plain .npy file, which has no room for metadata. The JSON file is written last and holds the hash of the
array: without it, or with another hash, the embeddings are not valid.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import numpy as np
import numpy.typing as npt

from inkdot.errors import StorageError
from inkdot.storage.atomic import atomic_path, write_text
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import EMBEDDINGS_VERSION, made_by

FloatArray = npt.NDArray[np.floating[Any]]
Row = Literal["tile", "cluster"]
EmbeddingDtype = Literal["float16", "float32"]

_DESCR: Final[dict[EmbeddingDtype, str]] = {"float16": "<f2", "float32": "<f4"}
_REQUIRED = ("row", "rows", "dims", "dtype", "tiles_sha256", "model_sha256", "array_sha256")


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One slide's embeddings.

    Attributes:
        values: float16 or float32 of shape [rows, dims], mapped from the file, not read.
        row: Unit of a row: a row of ``tiles/`` or of ``clusters/``, in the same order.
        metadata: The JSON file: ``tiles_sha256``, ``model_sha256``, for clusters ``clusters_sha256``, and more.
    """

    values: FloatArray
    row: Row
    metadata: Mapping[str, object]


def write_embeddings(
    layout: RunLayout,
    slide_id: str,
    batches: Iterable[FloatArray],
    *,
    rows: int,
    dims: int,
    dtype: EmbeddingDtype,
    row: Row,
    metadata: Mapping[str, object],
) -> None:
    """Write one slide's embeddings batch by batch, so that they need not fit into memory.

    Args:
        layout: The run or results folder.
        slide_id: The slide.
        batches: Arrays of shape [n, dims], together ``rows`` rows in the order of the table.
        rows: Rows of the table.
        dims: Dimensions of an embedding.
        dtype: Stored precision; float16 halves the disk space and is enough for attention.
        row: Unit of a row.
        metadata: JSON values with ``tiles_sha256`` and ``model_sha256``, and ``clusters_sha256`` where a row is a
            cluster.

    Raises:
        ValueError: A binding hash is missing, or the batches do not add up to the stated shape.
    """
    binding = ("tiles_sha256", "model_sha256", *(("clusters_sha256",) if row == "cluster" else ()))
    if missing := [name for name in binding if name not in metadata]:
        raise ValueError(f"expected metadata with {', '.join(binding)}, found no {missing[0]}")
    metadata_path, path = layout.embeddings_metadata(slide_id), layout.embeddings(slide_id)
    metadata_path.unlink(missing_ok=True)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        header = {"descr": _DESCR[dtype], "fortran_order": False, "shape": (rows, dims)}
        np.lib.format.write_array_header_1_0(file, header)
        done = 0
        for batch in batches:
            if batch.ndim != 2 or batch.shape[1] != dims:
                raise ValueError(f"expected batches of shape [n, {dims}], found {list(batch.shape)}")
            file.write(np.ascontiguousarray(batch, dtype=_DESCR[dtype]).tobytes())
            done += len(batch)
        if done != rows:
            raise ValueError(f"expected {rows} rows of embeddings, found {done}")
    stored = {
        **metadata, "version": EMBEDDINGS_VERSION, "row": row, "rows": rows, "dims": dims, "dtype": dtype,
        "array_sha256": file_sha256(path),
    }  # fmt: skip
    text = json.dumps(stored, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(metadata_path, text + "\n")


def read_embeddings(layout: RunLayout, slide_id: str) -> Embeddings:
    """Read one slide's embeddings; the array is memory-mapped, and pickled objects are refused.

    Raises:
        StorageError: A file is missing or damaged, of another version, or the array is not the one described.
    """
    metadata, path = read_embeddings_metadata(layout, slide_id), layout.embeddings(slide_id)
    stated = (metadata["rows"], metadata["dims"], metadata["dtype"])
    try:
        if file_sha256(path) != metadata["array_sha256"]:
            raise ValueError("an array other than its metadata describes")
        values = cast(
            FloatArray, np.load(path, mmap_mode="r" if metadata["rows"] else None, allow_pickle=False)
        )
        if (*values.shape, values.dtype.name) != stated:
            raise ValueError(f"{values.dtype} of shape {list(values.shape)}")
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path}: expected {metadata['rows']} rows of {metadata['dims']} {metadata['dtype']} numbers, "
            f"found {' '.join(str(error).split())}; delete it and run again"
        ) from None
    return Embeddings(values, cast(Row, metadata["row"]), metadata)


def read_embeddings_metadata(layout: RunLayout, slide_id: str) -> dict[str, object]:
    """Read the metadata of a slide's embeddings, without the array.

    Raises:
        StorageError: The metadata file is missing or damaged, or of another version.
    """
    path = layout.embeddings_metadata(slide_id)
    try:
        data: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StorageError(
            f"{path}: expected embeddings of version {EMBEDDINGS_VERSION}, found nothing there; "
            f"run {made_by(EMBEDDINGS_VERSION)}"
        ) from None
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path}: expected metadata of embeddings as JSON, found a damaged file ({error}); "
            "delete it and run again"
        ) from None
    metadata = cast("dict[str, object]", data) if isinstance(data, dict) else {}
    if metadata.get("version") != EMBEDDINGS_VERSION:
        raise StorageError(
            f"{path}: expected version {EMBEDDINGS_VERSION}, found {metadata.get('version')}; "
            f"run {made_by(EMBEDDINGS_VERSION)} again"
        )
    if missing := [name for name in _REQUIRED if name not in metadata]:
        raise StorageError(f"{path}: expected the key {missing[0]}, found none; delete it and run again")
    return metadata

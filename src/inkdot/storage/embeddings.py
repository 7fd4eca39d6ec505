"""What the network saw of each tile or cluster, as numbers: ``embeddings/<slide_id>.npy`` and its facts beside it.

The array is a plain .npy, which everybody can read; it has no room for facts, so these lie beside it as JSON. The
facts are written last and hold the array's hash: without them, or with others, there are no embeddings.
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
Number = Literal["float16", "float32"]

_DESCR: Final[dict[Number, str]] = {"float16": "<f2", "float32": "<f4"}
_REQUIRED = ("row", "rows", "dims", "dtype", "tiles_sha256", "model_sha256", "array_sha256")


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One slide's embeddings.

    Attributes:
        values: float16 or float32 of shape [rows, dims], mapped from the file, not read.
        row: What a row is: a row of ``tiles/`` or of ``clusters/``, in the same order.
        facts: What they were made from: ``tiles_sha256``, ``model_sha256``, for clusters ``clusters_sha256``, and more.
    """

    values: FloatArray
    row: Row
    facts: Mapping[str, object]


def write_embeddings(
    layout: RunLayout,
    slide_id: str,
    batches: Iterable[FloatArray],
    *,
    rows: int,
    dims: int,
    number: Number,
    row: Row,
    facts: Mapping[str, object],
) -> None:
    """Write one slide's embeddings batch by batch, so that no slide has to fit in memory.

    Args:
        layout: The run or results folder.
        slide_id: The slide.
        batches: Arrays of shape [n, dims], together ``rows`` rows in the order of the table.
        rows: Rows of the table.
        dims: Numbers per row.
        number: How each number is kept; half precision halves the disk and is enough for attention.
        row: What a row is.
        facts: What they were made from (JSON values); ``tiles_sha256`` and ``model_sha256`` must be among them, and
            ``clusters_sha256`` where a row is a cluster.

    Raises:
        ValueError: A binding hash is missing, or the batches do not add up to the stated shape.
    """
    binding = ("tiles_sha256", "model_sha256", *(("clusters_sha256",) if row == "cluster" else ()))
    if missing := [name for name in binding if name not in facts]:
        raise ValueError(f"expected the facts {', '.join(binding)}, found no {missing[0]}")
    facts_path, path = layout.embeddings_facts(slide_id), layout.embeddings(slide_id)
    facts_path.unlink(missing_ok=True)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        header = {"descr": _DESCR[number], "fortran_order": False, "shape": (rows, dims)}
        np.lib.format.write_array_header_1_0(file, header)
        done = 0
        for batch in batches:
            if batch.ndim != 2 or batch.shape[1] != dims:
                raise ValueError(f"expected batches of shape [n, {dims}], found {list(batch.shape)}")
            file.write(np.ascontiguousarray(batch, dtype=_DESCR[number]).tobytes())
            done += len(batch)
        if done != rows:
            raise ValueError(f"expected {rows} rows of embeddings, found {done}")
    described = {
        **facts, "version": EMBEDDINGS_VERSION, "row": row, "rows": rows, "dims": dims, "dtype": number,
        "array_sha256": file_sha256(path),
    }  # fmt: skip
    text = json.dumps(described, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(facts_path, text + "\n")


def read_embeddings(layout: RunLayout, slide_id: str) -> Embeddings:
    """Read one slide's embeddings; nothing in the files is ever run.

    Raises:
        StorageError: A file is missing or damaged, of another version, or the array is not the one described.
    """
    facts, path = read_embeddings_facts(layout, slide_id), layout.embeddings(slide_id)
    described = (facts["rows"], facts["dims"], facts["dtype"])
    try:
        if file_sha256(path) != facts["array_sha256"]:
            raise ValueError("others than its facts describe")
        values = cast(FloatArray, np.load(path, mmap_mode="r" if facts["rows"] else None, allow_pickle=False))
        if (*values.shape, values.dtype.name) != described:
            raise ValueError(f"{values.dtype} of shape {list(values.shape)}")
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path}: expected {facts['rows']} rows of {facts['dims']} {facts['dtype']} numbers, "
            f"found {' '.join(str(error).split())}; delete it and run again"
        ) from None
    return Embeddings(values, cast(Row, facts["row"]), facts)


def read_embeddings_facts(layout: RunLayout, slide_id: str) -> dict[str, object]:
    """What a slide's embeddings were made from, without reading them.

    Raises:
        StorageError: The facts are missing or damaged, or of another version.
    """
    path = layout.embeddings_facts(slide_id)
    try:
        data: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StorageError(
            f"{path}: expected embeddings of version {EMBEDDINGS_VERSION}, found nothing there; "
            f"run {made_by(EMBEDDINGS_VERSION)}"
        ) from None
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path}: expected the facts of embeddings as JSON, found a damaged file ({error}); "
            "delete it and run again"
        ) from None
    facts = cast("dict[str, object]", data) if isinstance(data, dict) else {}
    if facts.get("version") != EMBEDDINGS_VERSION:
        raise StorageError(
            f"{path}: expected version {EMBEDDINGS_VERSION}, found {facts.get('version')}; "
            f"run {made_by(EMBEDDINGS_VERSION)} again"
        )
    if missing := [name for name in _REQUIRED if name not in facts]:
        raise StorageError(f"{path}: expected the fact {missing[0]}, found none; delete it and run again")
    return facts

"""Embeddings: a plain .npy that anybody can read, and the metadata that say what its rows are."""

import hashlib
import io
import json
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

from inkdot.errors import StorageError
from inkdot.storage.embeddings import read_embeddings, read_embeddings_metadata, write_embeddings
from inkdot.storage.layout import RunLayout

GOLDEN = Path(__file__).parent / "golden"
FACTS: dict[str, object] = {"tiles_sha256": "ab" * 32, "model_sha256": "cd" * 32, "backbone": "resnet18"}
VALUES = np.array([[0.0, 1.0, -2.5], [0.125, 3.0, 65504.0]], np.float32)


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    return RunLayout(tmp_path)


def write(
    layout: RunLayout,
    values: npt.NDArray[np.float32] = VALUES,
    dtype: Literal["float16", "float32"] = "float16",
    batch: int = 1,
) -> None:
    batches = (values[first : first + batch] for first in range(0, len(values), batch))
    rows, dims = values.shape
    write_embeddings(layout, "s", batches, rows=rows, dims=dims, dtype=dtype, row="tile", metadata=FACTS)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_come_back_in_their_order_with_their_metadata(
    layout: RunLayout, dtype: Literal["float16", "float32"]
) -> None:
    write(layout, dtype=dtype)
    embeddings = read_embeddings(layout, "s")
    assert embeddings.values.dtype == dtype
    np.testing.assert_array_equal(embeddings.values, VALUES)
    assert embeddings.row == "tile"
    assert {name: embeddings.metadata[name] for name in FACTS} == FACTS
    # Anybody can read the array without Inkdot.
    np.testing.assert_array_equal(np.load(layout.embeddings("s"), allow_pickle=False), VALUES)


def test_the_size_of_batches_changes_no_byte(layout: RunLayout, tmp_path: Path) -> None:
    other = RunLayout(tmp_path / "other")
    write(layout, batch=1)
    write(other, batch=2)
    for name in ("embeddings", "embeddings_metadata"):
        first, second = getattr(layout, name)("s"), getattr(other, name)("s")
        assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()


def test_a_slide_without_tiles_has_an_array_without_rows(layout: RunLayout) -> None:
    write(layout, np.zeros((0, 3), np.float32))
    assert read_embeddings(layout, "s").values.shape == (0, 3)


def test_the_golden_files_of_version_1_are_what_is_written_today(layout: RunLayout) -> None:
    write(layout)
    assert layout.embeddings("s").read_bytes() == (GOLDEN / "embeddings_v1.npy").read_bytes()
    golden = (GOLDEN / "embeddings_v1.json").read_text(encoding="utf-8")
    assert layout.embeddings_metadata("s").read_text(encoding="utf-8") == golden


def test_what_does_not_add_up_is_not_written(layout: RunLayout) -> None:
    def attempt(rows: int, dims: int, metadata: dict[str, object], row: Literal["tile", "cluster"]) -> None:
        write_embeddings(
            layout, "s", iter([VALUES]), rows=rows, dims=dims, dtype="float16", row=row, metadata=metadata
        )

    with pytest.raises(ValueError, match="expected 3 rows of embeddings, found 2"):
        attempt(3, 3, FACTS, "tile")
    with pytest.raises(ValueError, match=r"expected batches of shape \[n, 4\], found \[2, 3\]"):
        attempt(2, 4, FACTS, "tile")
    with pytest.raises(ValueError, match="found no clusters_sha256"):
        attempt(2, 3, FACTS, "cluster")
    with pytest.raises(ValueError, match="found no model_sha256"):
        attempt(2, 3, {"tiles_sha256": "ab"}, "tile")
    assert [path for path in layout.root.rglob("*") if path.is_file()] == []


def test_a_failed_second_writing_leaves_no_metadata_that_fit_nothing(layout: RunLayout) -> None:
    write(layout)
    with pytest.raises(ValueError, match="expected 5 rows"):
        write_embeddings(
            layout, "s", iter([VALUES]), rows=5, dims=3, dtype="float16", row="tile", metadata=FACTS
        )
    with pytest.raises(StorageError, match="found nothing there"):
        read_embeddings(layout, "s")


def test_damaged_arrays_are_named(layout: RunLayout) -> None:
    write(layout)
    path, whole = layout.embeddings("s"), layout.embeddings("s").read_bytes()
    for damaged in (b"", whole[:-1], whole[:40], whole[:-2] + b"\x00\x00"):
        path.write_bytes(damaged)
        with pytest.raises(
            StorageError, match=r"s\.npy: expected 2 rows of 3 float16 numbers, found an array other"
        ):
            read_embeddings(layout, "s")
    path.unlink()
    with pytest.raises(StorageError, match=r"s\.npy: expected 2 rows .* No such file"):
        read_embeddings(layout, "s")


def test_an_array_of_objects_is_never_unpickled(layout: RunLayout, tmp_path: Path) -> None:
    """Even one whose metadata fit: pickled objects run code when they are read."""
    write(layout)
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return open, (str(ran), "w")

    buffer = io.BytesIO()
    np.save(buffer, np.array([Evil()], object), allow_pickle=True)
    layout.embeddings("s").write_bytes(buffer.getvalue())
    metadata = read_embeddings_metadata(layout, "s")
    metadata["array_sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    layout.embeddings_metadata("s").write_text(json.dumps(metadata), encoding="utf-8")
    with pytest.raises(StorageError, match=r"s\.npy: expected 2 rows"):
        read_embeddings(layout, "s")
    assert not ran.exists()


def test_other_versions_and_damaged_metadata_are_refused_by_name(layout: RunLayout) -> None:
    write(layout)
    path = layout.embeddings_metadata("s")
    good = json.loads(path.read_text(encoding="utf-8"))
    for text, match in (
        (
            json.dumps(good | {"version": "inkdot.embeddings/2"}),
            "found inkdot.embeddings/2; run `inkdot predict",
        ),
        (json.dumps({**good, "version": None}), "expected version inkdot.embeddings/1, found None"),
        ("[1]", "expected version inkdot.embeddings/1, found None"),
        ("{", "found a damaged file"),
        (json.dumps({key: good[key] for key in good if key != "rows"}), "expected the key rows, found none"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(StorageError, match=match):
            read_embeddings(layout, "s")

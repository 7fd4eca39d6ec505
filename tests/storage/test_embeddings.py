"""Embeddings: one HDF5 file per slide that any program can read, and that is refused where it is not what it says."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from inkdot.errors import StorageError
from inkdot.storage.embeddings.slide_embeddings import (
    read_embeddings,
    read_embeddings_metadata,
    write_embeddings,
)
from inkdot.storage.layout import RunLayout

FACTS: dict[str, Any] = {
    "tiles_sha256": "ab" * 32,
    "encoder": "resnet18",
    "encoder_sha256": "cd" * 32,
    "tile_spec": {"side_px": 224, "mpp": 0.5, "stride_px": 200},
    "mpp": [0.25, 0.25],
    "size_l0_px": [4000, 3000],
}
VALUES = np.array([[0.0, 1.0, -2.5], [0.125, 3.0, 65504.0]], np.float32)
COORDS = np.array([[0, 0], [448, 12]], np.int64)


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    return RunLayout(tmp_path)


def write(
    layout: RunLayout,
    values: npt.NDArray[np.floating[Any]] = VALUES,
    dtype: Literal["float16", "float32"] = "float16",
    batch: int = 1,
    coords: npt.NDArray[np.integer[Any]] = COORDS,
) -> None:
    batches = (values[first : first + batch] for first in range(0, len(values), batch))
    write_embeddings(
        layout, "s", batches, coords=coords, dims=values.shape[1], dtype=dtype, row="tile", metadata=FACTS
    )


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_come_back_in_their_order_with_their_metadata(
    layout: RunLayout, dtype: Literal["float16", "float32"]
) -> None:
    write(layout, dtype=dtype)
    embeddings = read_embeddings(layout, "s")
    assert embeddings.values.dtype == dtype
    np.testing.assert_array_equal(embeddings.values, VALUES)
    np.testing.assert_array_equal(embeddings.coords, COORDS)
    assert embeddings.row == "tile"
    assert {name: embeddings.metadata[name] for name in FACTS} == FACTS
    assert read_embeddings_metadata(layout, "s") == embeddings.metadata


def test_own_values_are_mapped_not_read(layout: RunLayout) -> None:
    write(layout)
    assert isinstance(read_embeddings(layout, "s").values, np.memmap)


def test_the_size_of_batches_changes_no_byte(layout: RunLayout, tmp_path: Path) -> None:
    other = RunLayout(tmp_path / "other")
    write(layout, batch=1)
    write(other, batch=2)
    first, second = (hashlib.sha256(at.embeddings("s").read_bytes()).digest() for at in (layout, other))
    assert first == second


def test_a_slide_without_tiles_has_an_array_without_rows(layout: RunLayout) -> None:
    write(layout, np.zeros((0, 3), np.float32), coords=COORDS[:0])
    found = read_embeddings(layout, "s")
    assert (found.values.shape, found.coords.shape) == ((0, 3), (0, 2))


def test_names_types_and_attributes_of_the_file_are_those_of_version_2(layout: RunLayout) -> None:
    """Written out here, so that a change of the format cannot go unseen."""
    write(layout)
    with h5py.File(layout.embeddings("s"), "r") as file:
        assert set(file) == {"features", "coords"}
        assert {name: (item.dtype.str, item.shape) for name, item in file.items()} == {
            "features": ("<f2", (2, 3)),
            "coords": ("<i8", (2, 2)),
        }
        assert dict(file["features"].attrs) == {"name": "s"}
        assert dict(file["coords"].attrs) == {
            "patch_size": 224, "patch_size_level0": 448, "level0_magnification": 40, "target_magnification": 20,
            "overlap": 24, "name": "s", "savetodir": ".", "level0_width": 4000, "level0_height": 3000,
        }  # fmt: skip
        assert json.loads(file.attrs["inkdot"]) == FACTS | {
            "version": "inkdot.embeddings/2", "row": "tile", "rows": 2, "dims": 3, "dtype": "float16",
            "array_sha256": hashlib.sha256(VALUES.astype("<f2").tobytes() + COORDS.tobytes()).hexdigest(),
        }  # fmt: skip


def test_what_does_not_add_up_is_not_written(layout: RunLayout) -> None:
    def attempt(
        coords: npt.NDArray[np.integer[Any]],
        dims: int,
        metadata: dict[str, Any],
        row: Literal["tile", "cluster"],
    ) -> None:
        write_embeddings(
            layout, "s", iter([VALUES]), coords=coords, dims=dims, dtype="float16", row=row, metadata=metadata
        )

    with pytest.raises(ValueError, match="expected 3 rows of embeddings, found 2"):
        attempt(np.zeros((3, 2), np.int64), 3, FACTS, "tile")
    with pytest.raises(ValueError, match="expected 1 rows of embeddings, found 2"):
        attempt(COORDS[:1], 3, FACTS, "tile")
    with pytest.raises(ValueError, match=r"expected batches of shape \[n, 4\], found \[2, 3\]"):
        attempt(COORDS, 4, FACTS, "tile")
    with pytest.raises(ValueError, match=r"expected coords of shape \[rows, 2\], found \[2, 3\]"):
        attempt(np.zeros((2, 3), np.int64), 3, FACTS, "tile")
    with pytest.raises(ValueError, match="found no clusters_sha256"):
        attempt(COORDS, 3, FACTS, "cluster")
    with pytest.raises(ValueError, match="found no encoder"):
        attempt(COORDS, 3, {"tiles_sha256": "ab"}, "tile")
    assert [path for path in layout.root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_embeddings_that_are_not_finite_are_refused_by_name(layout: RunLayout, wrong: float) -> None:
    values = VALUES.copy()
    values[1, 0] = wrong
    with pytest.raises(
        StorageError, match=rf"s\.h5, row 1: expected finite embeddings, found {wrong}; check"
    ):
        write(layout, values, batch=2)
    assert not layout.embeddings("s").exists()


def test_what_float16_cannot_hold_is_refused_and_never_infinite(layout: RunLayout) -> None:
    values = VALUES.copy()
    values[1, 0] = 65519.0  # the largest that rounds to a finite number
    write(layout, values)
    assert read_embeddings(layout, "s").values[1, 0] == 65504.0
    values[1, 0] = 65520.0
    with pytest.raises(
        StorageError, match=r"row 1: expected embeddings up to 65504, .* found 65520; .* --dtype float32"
    ):
        write(layout, values)
    write(layout, values, dtype="float32")
    assert read_embeddings(layout, "s").values[1, 0] == 65520.0


def test_a_failed_second_writing_leaves_the_first(layout: RunLayout) -> None:
    write(layout)
    before = layout.embeddings("s").read_bytes()
    with pytest.raises(ValueError, match="expected 1 rows"):
        write(layout, coords=COORDS[:1])
    assert layout.embeddings("s").read_bytes() == before
    assert [path.name for path in layout.embeddings("s").parent.iterdir()] == ["s.h5"]


def test_cut_off_and_changed_files_are_named(layout: RunLayout) -> None:
    write(
        layout,
        np.arange(60_000, dtype=np.float32).reshape(-1, 3) % 100,
        coords=np.zeros((20_000, 2), np.int64),
        batch=5000,
    )
    path, whole = layout.embeddings("s"), layout.embeddings("s").read_bytes()
    changed = bytearray(whole)
    with h5py.File(path, "r") as file:
        changed[file["features"].id.get_offset() + 1000] ^= 1
    for damaged in (
        b"",
        whole[:-1],
        whole[:4000],
        whole[: len(whole) // 2],
        bytes(changed),
        b"PK" + whole[2:],
    ):
        path.write_bytes(damaged)
        with pytest.raises(StorageError, match=r"s\.h5: expected an HDF5 file, found a damaged one"):
            read_embeddings(layout, "s")
    path.unlink()
    with pytest.raises(
        StorageError, match=r"expected embeddings of version inkdot\.embeddings/2, found nothing there; run"
    ):
        read_embeddings(layout, "s")


def test_the_pair_of_files_of_version_1_is_refused_with_the_command_that_replaces_it(
    layout: RunLayout,
) -> None:
    path = layout.embeddings("s").with_suffix(".npy")
    path.parent.mkdir()
    np.save(path, VALUES)
    with pytest.raises(StorageError, match=r"found s\.npy of version 1; run `inkdot embed`"):
        read_embeddings(layout, "s")


def test_other_versions_and_damaged_metadata_are_refused_by_name(layout: RunLayout) -> None:
    write(layout)
    path = layout.embeddings("s")
    with h5py.File(path, "r") as file:
        good = json.loads(file.attrs["inkdot"])
    for text, match in (
        (
            json.dumps(good | {"version": "inkdot.embeddings/3"}),
            r"found inkdot\.embeddings/3; run `inkdot embed`",
        ),
        (json.dumps({**good, "version": None}), r"expected version inkdot\.embeddings/2, found None"),
        ("[1]", r"expected version inkdot\.embeddings/2, found None"),
        ("{", "found a damaged one"),
        (json.dumps({key: good[key] for key in good if key != "rows"}), "expected the key rows, found none"),
        (json.dumps(good | {"rows": 3}), "its shape is not 3 rows of 3 float16"),
        (json.dumps(good | {"dtype": "float32"}), "its shape is not 2 rows of 3 float32"),
    ):
        with h5py.File(path, "r+") as file:
            file.attrs["inkdot"] = text
        with pytest.raises(StorageError, match=match):
            read_embeddings(layout, "s")

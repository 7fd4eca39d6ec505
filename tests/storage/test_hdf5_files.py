"""HDF5 files of others cannot make a program read other files, or take memory that they do not fill."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from inkdot.errors import StorageError
from inkdot.storage.embeddings.hdf5_files import number_dataset, open_hdf5, plain_attributes, read_array

VALUES = np.arange(12, dtype=np.float32).reshape(4, 3)


def read(path: Path) -> np.ndarray:
    with open_hdf5(path) as file:
        dataset = number_dataset(file, "features", "f")
        assert dataset is not None
        return read_array(dataset)


def external_link(path: Path, secret: Path) -> None:
    with h5py.File(path, "w") as file:
        file["features"] = h5py.ExternalLink(str(secret), "features")


def soft_link(path: Path, secret: Path) -> None:
    with h5py.File(path, "w") as file:
        file["other"] = h5py.ExternalLink(str(secret), "features")
        file["features"] = h5py.SoftLink("/other")


def virtual(path: Path, secret: Path) -> None:
    layout = h5py.VirtualLayout(shape=(4, 3), dtype=np.float32)
    layout[:] = h5py.VirtualSource(str(secret), "features", shape=(4, 3))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("features", layout)


def external_storage(path: Path, secret: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("features", (4, 3), np.float32, external=[(str(secret), 0, 48)])


def group(path: Path, _: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("features")


def never_filled(path: Path, _: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("features", (10**9, 1000), np.float32, chunks=(1, 1000))


def compressed_claim(path: Path, _: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("features", (10**9, 1000), np.float32, chunks=(1, 1000), compression="gzip")


def objects(path: Path, _: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("features", (4,), h5py.vlen_dtype(np.float32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (external_link, "expected the dataset features in the file itself, found a link"),
        (soft_link, "expected the dataset features in the file itself, found a link"),
        (virtual, "found one kept in other files"),
        (external_storage, "found one kept in other files"),
        (group, "expected a dataset named features, found a group"),
        (never_filled, "found 4000000000000 claimed; the file is cut off or made up"),
        (compressed_claim, "found 4000000000000 claimed"),
        (objects, "expected numbers in features, found object"),
    ],
)
def test_datasets_that_are_no_plain_numbers_in_the_file_are_refused(
    tmp_path: Path, make: Callable[[Path, Path], None], message: str
) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["features"] = VALUES
    path = tmp_path / "s.h5"
    make(path, secret)
    with pytest.raises(StorageError, match=message):
        read(path)


@pytest.mark.parametrize("options", [{}, {"chunks": (1, 3)}, {"chunks": (2, 3), "compression": "gzip"}])
def test_plain_and_compressed_numbers_are_read(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("features", data=VALUES, **options)
    found = read(path)
    np.testing.assert_array_equal(found, VALUES)
    assert isinstance(found, np.memmap) == (not options)


def test_attributes_are_texts_and_numbers_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        file["features"] = VALUES
        file.attrs["text"] = "uni"
        file.attrs["bytes"] = np.bytes_("uni")
        file.attrs["number"] = np.int64(3)
        file.attrs["pair"] = (4.0, 4.0)
        file.attrs["list"] = [1, 2, 3]
        file.attrs["reference"] = file["features"].ref
    with open_hdf5(path) as file:
        assert plain_attributes(file.attrs) == {"text": "uni", "bytes": "uni", "number": 3, "pair": 4.0}


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    path.write_text("features")
    with pytest.raises(StorageError, match=r"s\.h5: expected an HDF5 file, found a damaged one"):
        read(path)

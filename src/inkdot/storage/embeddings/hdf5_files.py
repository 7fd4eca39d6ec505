"""Reading HDF5 files that others may have made: plain datasets of numbers in the file itself, and nothing else.

HDF5 can point outside of a file: links to other files, virtual datasets, raw data in other files. A file from elsewhere
could so make a program read any file of its user. All of these are refused, and sizes are checked before memory is taken.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# h5py is only partly typed.

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import h5py
import numpy as np
import numpy.typing as npt

from inkdot.errors import StorageError

_UNREADABLE = (OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError)
"""What h5py raises for damaged bytes."""

_MOST_COMPRESSION: Final = 100
"""Numbers of a network shrink by half at best: a dataset that claims more than this is no such file."""


@contextmanager
def open_hdf5(path: Path) -> Generator[h5py.File]:
    """Open a file for reading, without a lock: Inkdot's files are replaced as a whole, never changed.

    Raises:
        StorageError: It is missing, damaged, or no HDF5 file.
    """
    if not path.is_file():
        raise StorageError(f"{path}: expected an HDF5 file, found nothing there")
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except _UNREADABLE as error:
        raise damaged(path, error) from None


def damaged(path: Path, error: Exception) -> StorageError:
    """The error for a file that HDF5 cannot read."""
    return StorageError(
        f"{path}: expected an HDF5 file, found a damaged one ({' '.join(str(error).split())[:200]}); "
        "delete it and make it again"
    )


def number_dataset(file: h5py.File, name: str, kinds: str) -> h5py.Dataset | None:
    """A dataset of plain numbers that lies in the file itself; None where the file has none of this name.

    Args:
        file: An open file.
        name: Name of the dataset, at the top level.
        kinds: NumPy's letters of accepted types, such as ``f`` or ``iu``.

    Raises:
        StorageError: It is a link, virtual, kept in other files, of another type, or larger than the file can hold.
    """
    path = Path(file.filename)
    link = file.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise StorageError(
            f"{path}: expected the dataset {name} in the file itself, found a link; copy the data into it"
        )
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise StorageError(f"{path}: expected a dataset named {name}, found a group")
    if dataset.is_virtual or dataset.external:
        raise StorageError(
            f"{path}: expected the dataset {name} in the file itself, found one kept in other files; copy the data into it"
        )
    if dataset.dtype.kind not in kinds or dataset.dtype.hasobject or dataset.shape is None:
        raise StorageError(f"{path}: expected numbers in {name}, found {dataset.dtype}")
    compressed = dataset.id.get_create_plist().get_nfilters() > 0
    most = path.stat().st_size * (_MOST_COMPRESSION if compressed else 1)
    if dataset.nbytes > most:
        raise StorageError(
            f"{path}: expected at most {most} bytes in {name}, as the file is large, found {dataset.nbytes} claimed; "
            "the file is cut off or made up"
        )
    return dataset


def read_array(dataset: h5py.Dataset) -> npt.NDArray[Any]:
    """All numbers of a dataset; mapped from the file where they lie there in one piece, read otherwise."""
    offset = dataset.id.get_offset()
    if offset is None or not dataset.size:
        return cast("npt.NDArray[Any]", np.asarray(dataset[()]))
    return np.memmap(Path(dataset.file.filename), dataset.dtype, "r", offset=offset, shape=dataset.shape)


def plain_attributes(attributes: h5py.AttributeManager) -> Mapping[str, str | int | float]:
    """Attributes that are a text or a number, and the first of two numbers; others, such as references, are left out."""
    found: dict[str, str | int | float] = {}
    for name in attributes:
        stored = attributes.get_id(name)
        if stored.dtype.kind not in "OSUiuf" or stored.shape not in ((), (1,), (2,)):
            continue
        value = attributes[name]
        value = value.reshape(-1)[0] if isinstance(value, np.ndarray) else value
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, str | int | float):
            found[str(name)] = value
    return found

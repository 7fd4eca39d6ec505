"""The curves of a run as TensorBoard reads them, without TensorBoard.

Its own writer brings thirty megabytes, puts time stamps into names and contents, and after a resume its points stand
there twice. What it writes is small: the record form of TensorFlow around the protocol buffer ``Event`` (fields of
``tensorflow/core/util/event.proto`` and ``framework/summary.proto``).
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from inkdot.storage.atomic import write_bytes

_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
_MASK = 0xA282EAD8
_WORD = 0xFFFFFFFF


def write_events(path: Path, rows: Sequence[Mapping[str, float | None]], step: str) -> None:
    """Bring an event file up to date with a table.

    A file that holds the earlier rows already grows at its end, since a TensorBoard that shows it keeps it open; any
    other is replaced.

    Args:
        path: Its name must contain ``tfevents``.
        rows: One per step; None where a value is undefined.
        step: The column that counts the steps.
    """
    wanted = events(rows, step)
    found = path.read_bytes() if path.exists() else b""
    if found and wanted.startswith(found):
        with path.open("ab") as file:
            file.write(wanted[len(found) :])
    elif found != wanted:
        write_bytes(path, wanted)


def events(rows: Sequence[Mapping[str, float | None]], step: str) -> bytes:
    """The whole file; the clock of every event stands at 0, so that the same rows are the same bytes."""
    records = [_event(0, _text(3, "brain.Event:2"))]
    for row in rows:
        values = b"".join(_value(*item) for item in _scalars(row, step))
        records.append(_event(int(row[step] or 0), _message(5, values)))
    return b"".join(_record(data) for data in records)


def _scalars(row: Mapping[str, float | None], step: str) -> Iterator[tuple[str, float]]:
    """Names with a slash after their first word: TensorBoard makes a section of what stands before it."""
    for name, value in row.items():
        if name != step and value is not None:
            yield name.replace(".", "/", 1), value


def _event(step: int, content: bytes) -> bytes:
    clock = b"\x09" + struct.pack("<d", 0.0)
    return clock + b"\x10" + _varint(step) + content


def _value(name: str, value: float) -> bytes:
    return _message(1, _text(1, name) + b"\x15" + struct.pack("<f", value))


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _masked_crc(length) + data + _masked_crc(data)


def _masked_crc(data: bytes) -> bytes:
    crc = _crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK) & _WORD)


def _crc32c(data: bytes) -> int:
    crc = _WORD
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc ^ _WORD

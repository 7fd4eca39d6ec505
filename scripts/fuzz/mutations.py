"""Mutations of bytes, text, CSV, JSON and TIFF tags. All randomness is that of the case, so that it can be repeated."""

import csv
import io
import json
import random
import struct
from collections.abc import Callable
from typing import Any, Final, cast

Mutation = Callable[[bytes, random.Random], bytes]

WORDS: Final = (
    "", " ", "nan", "inf", "-inf", "-1", "0", "1e309", "1e-320", "0x10", "9" * 400, "true", "null", "ä\u0301", "\u202e", "x\ny",
    "a\0b", "'", '"', "=1+1", "../../etc/passwd", "/", "a" * 5000, "{}", "[[[[", "<b>", "POLYGON ((0 0, 1 1))",
    "POLYGON ((0 0, nan 1, 1 1, 0 0))", "POLYGON EMPTY", "&a;", "%s%n",
)  # fmt: skip
"""Texts that programs stumble over."""

VALUES: Final[tuple[object, ...]] = (
    None, True, False, 0, -1, 1, 2**31, -(2**31), 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), float("-inf"),
    [], {}, [None], [[]], {"": None}, [0] * 300, *WORDS,
)  # fmt: skip
"""JSON values of other types and sizes."""

_NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**63,
    2**64 - 1,
)


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """One to four changes of any bytes: flips, stretches overwritten, cut, doubled or moved, and large numbers."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = rng.choice(_BYTE_CHANGES)(data, rng)
    return data


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        changed[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    at, length = _place(data, rng), rng.choice((1, 4, 40, 400))
    fill = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    return (data[:at] + fill + data[at + length :])[: max(len(data), 1)]


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.choice((_place(data, rng), len(data) - rng.randint(0, 40), rng.randint(0, 40)))]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.randbytes(rng.choice((1, 2, 4, 100))) + data[at:]


def _delete(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 4, 100)) :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    at, length = _place(data, rng), rng.choice((1, 8, 100))
    return data[:at] + data[at : at + length] * rng.choice((2, 3, 50)) + data[at + length :]


def _move(data: bytes, rng: random.Random) -> bytes:
    at, to, length = _place(data, rng), _place(data, rng), rng.choice((4, 64, 512))
    return data[:to] + data[at : at + length] + data[to + length :]


def _number(data: bytes, rng: random.Random) -> bytes:
    code, size = rng.choice((("B", 1), ("H", 2), ("I", 4), ("Q", 8)))
    value = rng.choice(_NUMBERS) & ((1 << 8 * size) - 1)
    at = _place(data, rng)
    return data[:at] + struct.pack(rng.choice("<>") + code, value) + data[at + size :]


def _place(data: bytes, rng: random.Random) -> int:
    """A place in the file: often in its first or last kilobyte, where headers are."""
    end = max(len(data), 1)
    where = rng.random()
    if where < 0.35:
        return rng.randrange(min(end, 1024))
    return rng.randrange(max(end - 1024, 0), end) if where < 0.5 else rng.randrange(end)


_BYTE_CHANGES = (_flip, _flip, _overwrite, _truncate, _insert, _delete, _repeat, _move, _number)


def mutated_text(data: bytes, rng: random.Random) -> bytes:
    """A word, number or quoted text replaced, a line lost, doubled or moved, or another encoding."""
    text = data.decode("utf-8", "replace")
    kind = rng.randrange(6)
    if kind == 0:
        return _encoded(text, rng)
    if kind <= 2:
        lines = text.splitlines(keepends=True) or [""]
        at = rng.randrange(len(lines))
        lines[at : at + 1] = rng.choice(
            ([], [lines[at]] * 2, [lines[at]] * 300, [lines[at][: len(lines[at]) // 2]])
        )
        lines.insert(rng.randint(0, len(lines)), rng.choice(lines or [""]))
        return "".join(lines).encode()
    starts = [i for i in range(1, len(text)) if text[i].isalnum() and not text[i - 1].isalnum()] or [0]
    start = rng.choice(starts)
    end = start
    while end < len(text) and (text[end].isalnum() or text[end] in "._+-"):
        end += 1
    return (text[:start] + rng.choice(WORDS) + text[end:]).encode()


def _encoded(text: str, rng: random.Random) -> bytes:
    encoding = rng.choice(("utf-16", "utf-8-sig", "utf-32", "latin-1", "cp1252", "cp037"))
    return rng.choice((text, text.replace("\n", "\r"), text.replace("\n", "\r\n"), "ä" + text)).encode(
        encoding, "replace"
    )


def mutated_csv(data: bytes, rng: random.Random) -> bytes:
    """A cell, a column or a row changed; or as :func:`mutated_text`."""
    if rng.random() < 0.25:
        return mutated_text(data, rng)
    rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
    row, column = rng.randrange(len(rows)), rng.randrange(len(rows[0]))
    kind = rng.randrange(7)
    if kind <= 2:
        rows[row][column] = rng.choice(WORDS)
    elif kind == 3:
        other = rng.randrange(len(rows))
        rows[row][column] = rows[other][rng.randrange(len(rows[other]))]
    elif kind == 4:
        for own in rows:
            own[column : column + 1] = [] if row % 2 else own[column : column + 1] * 2
    elif kind == 5:
        rows[row : row + 1] = [list(rows[row]), list(rows[row])] if column % 2 else []
    else:
        rows[row] = rows[row][:column] if column % 2 else [*rows[row], "more", "cells"]
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=rng.choice(",,,,;\t")).writerows(rows)
    return buffer.getvalue().encode("utf-8", "surrogatepass")


def mutated_json(data: bytes, rng: random.Random) -> bytes:
    """Values replaced, removed, doubled or nested deeply; rarely other changes of the text."""
    if rng.random() < 0.15:
        return mutated_text(data, rng)
    changed = changed_value(json.loads(data), rng)
    text = json.dumps(changed, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.05:
        deep = rng.choice((50, 101, 3000, 100_000))
        text = (
            text.replace("null", "[" * deep + "]" * deep, 1)
            if "null" in text
            else "[" * deep + text + "]" * deep
        )
    return text.encode("utf-8", "surrogatepass")


def changed_value(value: object, rng: random.Random) -> object:
    """A copy of a JSON value with one or two of its values changed."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 2))):
        places = list(_places(value))
        if not places:
            return rng.choice(VALUES)
        holder, key = rng.choice(places)
        kind = rng.randrange(8)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[rng.choice(WORDS)] = holder.pop(key)
        elif kind == 1:
            holder.insert(key, holder[key])
        elif kind == 2:
            other, name = rng.choice(places)
            holder[key] = json.loads(json.dumps(other[name])) if _has(other, name) else None
        elif kind == 3:
            holder[key] = [holder[key]]
        else:
            holder[key] = rng.choice(VALUES)
    return value


def _has(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def _places(value: object) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict):
            keys: list[Any] = list(cast("dict[str, object]", holder))
        elif isinstance(holder, list):
            keys = list(range(len(cast("list[object]", holder))))
        else:
            continue
        found += [(holder, key) for key in keys]
        waiting += [cast(Any, holder)[key] for key in keys]
    return found


def mutated_tiff(data: bytes, rng: random.Random) -> bytes:
    """Tag, type, count or value of one or two entries of the TIFF's directories; half of the time any bytes."""
    if rng.random() < 0.5:
        return mutated_bytes(data, rng)
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    entries = _entries(data, order, big)
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.choice(entries)
        offset, code = rng.choice(
            (((0, "H"), (2, "H"), (4, "Q"), (12, "Q"), (12, "I"), (12, "H")))
            if big
            else (((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "I"), (8, "H")))
        )
        size = struct.calcsize(code)
        (old,) = struct.unpack_from(order + code, changed, at + offset)
        other = struct.unpack_from(order + code, changed, rng.choice(entries) + offset)[0]
        value = rng.choice(
            (*_NUMBERS, old + 1, old - 1, old * 2, old // 2, old ^ 1, other, other, len(data), len(data) - 1)
        )
        struct.pack_into(order + code, changed, at + offset, value & ((1 << 8 * size) - 1))
    return bytes(changed)


def _entries(data: bytes, order: str, big: bool) -> list[int]:
    """Where the entries of all directories start."""
    pointer, count_code, length = ("Q", "Q", 20) if big else ("I", "H", 12)
    (at,) = struct.unpack_from(order + pointer, data, 8 if big else 4)
    found: list[int] = []
    while at and len(found) < 1000:
        (count,) = struct.unpack_from(order + count_code, data, at)
        first = at + struct.calcsize(count_code)
        found += [first + length * number for number in range(count)]
        (at,) = struct.unpack_from(order + pointer, data, first + length * count)
    return found

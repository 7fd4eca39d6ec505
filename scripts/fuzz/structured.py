"""Mutations of Parquet, HDF5, SQLite and safetensors, written again by their libraries; each changes a file in place."""

import json
import random
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mutations import WORDS, Mutation, changed_value, mutated_bytes

FileMutation = Callable[[Path, random.Random], None]

_TYPES: Final = (pa.int8(), pa.int64(), pa.float16(), pa.float64(), pa.string(), pa.bool_(), pa.date32())
_NUMBERS: Final = (float("nan"), float("inf"), -1.0, 2.0, 1e30, 0.0, 5e-324)
_CELLS: Final = (None, 0, -1, 2**63 - 1, 0.5, 1e308, float("inf"), b"\xff\xfe", *WORDS)


def by_bytes(mutation: Mutation) -> FileMutation:
    """A mutation of bytes, for a file."""

    def mutate(path: Path, rng: random.Random) -> None:
        path.write_bytes(mutation(path.read_bytes(), rng))

    return mutate


def mutate_parquet(path: Path, rng: random.Random) -> None:
    """A value of the footer, or a column: lost, doubled, of another type, with nulls or odd numbers; or any bytes."""
    if rng.random() < 0.35:
        by_bytes(mutated_bytes)(path, rng)
        return
    table = pq.read_table(path)
    metadata = dict(table.schema.metadata or {})
    if rng.random() < 0.6 and metadata:
        key = rng.choice(sorted(metadata))
        metadata[key] = json.dumps(changed_value(json.loads(metadata[key]), rng)).encode(
            "utf-8", "surrogatepass"
        )
    else:
        table = _changed_column(table, rng)
    pq.write_table(table.replace_schema_metadata(metadata), path, store_schema=True)


def _changed_column(table: pa.Table, rng: random.Random) -> pa.Table:
    index = rng.randrange(table.num_columns)
    name, column = table.column_names[index], table.column(index)
    kind = rng.randrange(6)
    if kind == 0:
        return table.remove_column(index)
    if kind == 1:
        return table.append_column(rng.choice((name, *WORDS)), column)
    if kind == 2:
        return table.slice(0, rng.randrange(table.num_rows + 1))
    if kind == 3:
        other = rng.choice(_TYPES)
        try:
            return table.set_column(index, name, column.cast(other, safe=False))
        except pa.ArrowException:
            return table.set_column(index, name, pa.nulls(table.num_rows, other))
    if kind == 4:
        return table.set_column(index, name, pa.nulls(table.num_rows, column.type))
    values: list[Any] = column.to_pylist()
    for row in rng.sample(range(len(values)), min(len(values), rng.choice((1, 1, 20)))):
        values[row] = _odd_value(column.type, rng)
    return table.set_column(index, name, pa.array(values, column.type))


def _odd_value(kind: pa.DataType, rng: random.Random) -> object:
    if pa.types.is_floating(kind):
        return rng.choice(_NUMBERS)
    if pa.types.is_integer(kind):
        return rng.choice((-1, 0, 2**31 - 1, -(2**31), None))
    if pa.types.is_string(kind):
        return rng.choice((*WORDS, None))
    return rng.choice(([], [-1], [2**31 - 1], None)) if pa.types.is_list(kind) else None


def mutate_hdf5(path: Path, rng: random.Random) -> None:
    """An attribute or a dataset of another value, type or shape; or any bytes."""
    if rng.random() < 0.4:
        by_bytes(mutated_bytes)(path, rng)
        return
    with h5py.File(path, "r+") as file:
        if rng.random() < 0.6:
            holders = [one for one in (file, *file.values()) if len(one.attrs)] or [file]
            _change_attribute(rng.choice(holders).attrs, rng)
        else:
            _change_dataset(file, rng)


def _change_attribute(attributes: h5py.AttributeManager, rng: random.Random) -> None:
    name = rng.choice(sorted(attributes) or ["x"])
    value = attributes.get(name)
    if isinstance(value, str) and value.startswith("{") and rng.random() < 0.8:
        new: Any = json.dumps(changed_value(json.loads(value), rng))
    else:
        words = [word for word in WORDS if "\0" not in word]
        new = rng.choice(
            (
                0,
                -1,
                2**62,
                0.5,
                float("nan"),
                float("inf"),
                1e308,
                np.zeros((2, 2)),
                h5py.Empty("f"),
                b"\xff",
                *words,
            )
        )
    del attributes[name]
    if rng.random() < 0.9:
        attributes[name] = new


def _change_dataset(file: h5py.File, rng: random.Random) -> None:
    name = rng.choice(sorted(file))
    values: Any = file[name][()]
    kind = rng.randrange(7)
    if kind == 0:
        del file[name]
        return
    if kind == 1:
        flat = np.array(values)
        flat.reshape(-1)[rng.randrange(max(flat.size, 1))] = rng.choice((0, 1, 100))
        values = flat
    elif kind == 2:
        values = values[: rng.randrange(len(values) + 1)]
    elif kind == 3:
        values = values.reshape(-1) if rng.random() < 0.5 else values[None]
    elif kind == 4:
        values = values.astype(rng.choice(("f8", "f4", "f2", "i1", "u8", "S5", "?", "c8")))
    elif kind == 5:
        values = np.full(values.shape, rng.choice((float("nan"), float("inf"), 1e38, -1e30)), "f8")
    del file[name]
    if kind == 6:
        file[name] = rng.choice(
            (h5py.SoftLink("/none"), h5py.ExternalLink("other.h5", "/a"), h5py.SoftLink("/" + name))
        )
    else:
        file[name] = values


def mutate_sqlite(path: Path, rng: random.Random) -> None:
    """A cell or a pragma of another value, or a table or trigger more; or any bytes."""
    if rng.random() < 0.4:
        by_bytes(mutated_bytes)(path, rng)
        return
    with closing(sqlite3.connect(path)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(changes)")]
        column, kind = rng.choice(columns), rng.randrange(8)
        if kind <= 3:
            where = " WHERE id = 1" if rng.random() < 0.5 else ""
            statement, values = f"UPDATE changes SET {column} = ?{where}", (rng.choice(_CELLS),)  # noqa: S608
            _tried(connection, statement, values)
        elif kind == 4:
            entry = connection.execute("SELECT entry FROM changes WHERE id = 1").fetchone()[0]
            changed = json.dumps(changed_value(json.loads(entry), rng))
            _tried(connection, "UPDATE changes SET entry = ? WHERE id = 1", (changed,))
        elif kind == 5:
            pragma = rng.choice(
                ("user_version = 1", "user_version = 99", "application_id = 7", "encoding = 'UTF-16'")
            )
            _tried(connection, f"PRAGMA {pragma}")
        elif kind == 6:
            _tried(
                connection,
                rng.choice(
                    (f"ALTER TABLE changes DROP COLUMN {column}", "DROP TABLE changes", "DELETE FROM changes")
                ),
            )
        else:
            body = "BEGIN SELECT randomblob(1e9); END"
            _tried(
                connection,
                rng.choice((f"CREATE TRIGGER t AFTER INSERT ON changes {body}", "CREATE VIEW v AS SELECT 1")),
            )
        connection.commit()


def _tried(connection: sqlite3.Connection, statement: str, values: tuple[object, ...] = ()) -> None:
    """Run a statement; one that SQLite refuses leaves the file as it is."""
    try:
        connection.execute(statement, values)
    except (sqlite3.Error, OverflowError):
        connection.rollback()


def mutated_safetensors(data: bytes, rng: random.Random) -> bytes:
    """The header's JSON, or a number of a tensor; or any bytes."""
    if rng.random() < 0.4:
        return mutated_bytes(data, rng)
    (length,) = struct.unpack("<Q", data[:8])
    header, body = data[8 : 8 + length], bytearray(data[8 + length :])
    if rng.random() < 0.6:
        header = json.dumps(changed_value(json.loads(header), rng)).encode("utf-8", "surrogatepass")
    else:
        at = rng.randrange(len(body) // 4) * 4
        body[at : at + 4] = struct.pack("<f", rng.choice(_NUMBERS[:6]))
    return struct.pack("<Q", len(header)) + header + bytes(body)

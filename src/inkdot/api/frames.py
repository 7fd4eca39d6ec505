# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Arrow tables as pandas frames. pandas is an extra: only these functions import it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from inkdot.errors import StorageError, UserError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


def to_pandas(table: pa.Table, index: str | None = None) -> pd.DataFrame:
    """An Arrow table as a pandas frame; integer columns with missing values become ``Int64``, not floats.

    Args:
        table: The table.
        index: Column that becomes the index; rows are numbered where None.

    Raises:
        UserError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError:
        raise UserError(
            "expected the package pandas, found none; install it with `pip install 'inkdot[notebook]'`, "
            "or use the method that ends in `_arrow`"
        ) from None
    frame = table.to_pandas()
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_integer(column.type) and column.null_count:
            frame[name] = pd.array(column.to_pylist(), dtype="Int64")
    return frame if index is None else frame.set_index(index)


def rows_to_arrow(rows: Iterable[Mapping[str, str]], types: Mapping[str, pa.DataType]) -> pa.Table:
    """Rows of text cells as a typed table; an empty cell of a number is null.

    Args:
        rows: Cells by column.
        types: The columns and their types, in order. A column that a row lacks counts as empty.
    """
    texts = list(rows)
    columns = [_typed([row.get(name, "") for row in texts], kind) for name, kind in types.items()]
    return pa.Table.from_arrays(columns, names=list(types))


def _typed(cells: Sequence[str], kind: pa.DataType) -> Any:
    if pa.types.is_string(kind):
        return pa.array(cells, kind)
    return pa.array([cell or None for cell in cells], pa.string()).cast(kind)


def csv_to_arrow(path: Path) -> pa.Table:
    """A CSV table that a command wrote, with the types that its cells suggest.

    Raises:
        StorageError: The file is missing or is no table.
    """
    try:
        return pa_csv.read_csv(path, convert_options=pa_csv.ConvertOptions(strings_can_be_null=False))
    except (OSError, pa.ArrowInvalid) as error:
        said = " ".join(str(error).split())
        raise StorageError(f"{path}: expected a CSV table, found none that can be read: {said}") from None


def html_table(rows: Mapping[str, object]) -> str:
    """Two columns, names and values, as HTML; all text is escaped."""
    cells = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(str(value))}</td></tr>"
        for name, value in rows.items()
        if value not in (None, "", ())
    )
    return f"<table>{cells}</table>"

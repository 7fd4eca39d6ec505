"""Columns of logits and targets by head. NumPy only."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inkdot.labels import Head, flagging_head

TargetArray = npt.NDArray[np.float32]
NameArray = npt.NDArray[np.str_]
IndexArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def head_slices(heads: Sequence[Head]) -> dict[str, slice]:
    """Columns of the logits that belong to each head, by head name."""
    slices: dict[str, slice] = {}
    start = 0
    for head in heads:
        slices[head.name] = slice(start, start + len(head.classes))
        start += len(head.classes)
    return slices


def flag_columns(heads: Sequence[Head]) -> slice:
    """Columns of the classes of the flagging head among those of all heads."""
    return head_slices(heads)[flagging_head(heads).name]


def flag_column(heads: Sequence[Head]) -> int:
    """Column of the flag class among those of all heads."""
    head = flagging_head(heads)
    return flag_columns(heads).start + head.classes.index(head.flag_class or "")


def known_rows(targets: TargetArray) -> npt.NDArray[np.bool_]:
    """Rows with a known target for at least one head; targets [n, classes of all heads], NaN where unknown."""
    return np.any(~np.isnan(targets), axis=1)

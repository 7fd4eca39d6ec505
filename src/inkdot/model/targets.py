"""Arrays of training targets. NumPy only."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inkdot.config import Aggregator
from inkdot.labels import Head

TargetArray = npt.NDArray[np.float32]
NameArray = npt.NDArray[np.str_]
IndexArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def known_rows(targets: TargetArray) -> npt.NDArray[np.bool_]:
    """Rows with a known target for at least one head; targets [n, classes of all heads], NaN where unknown."""
    return np.any(~np.isnan(targets), axis=1)


def output_columns(heads: Sequence[Head], aggregator: Aggregator | None, hidden: int) -> int:
    """Columns of a network's output: logits of all heads, then attention scores or the token.

    Args:
        heads: The heads.
        aggregator: None for a network of tiles alone.
        hidden: Width of the token.
    """
    beside = 0 if aggregator is None else hidden if aggregator == "transmil" else len(heads)
    return sum(len(head.classes) for head in heads) + beside

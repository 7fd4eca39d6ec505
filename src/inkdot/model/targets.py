"""Arrays of training targets. NumPy only."""

import numpy as np
import numpy.typing as npt

TargetArray = npt.NDArray[np.float32]
NameArray = npt.NDArray[np.str_]
IndexArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def known_rows(targets: TargetArray) -> npt.NDArray[np.bool_]:
    """Rows with a known target for at least one head; targets [n, classes of all heads], NaN where unknown."""
    return np.any(~np.isnan(targets), axis=1)

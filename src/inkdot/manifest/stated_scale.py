"""Checks micrometres per pixel (mpp) that a person states: a number in another unit is a slip, not a scale."""

import math
from typing import Final

from inkdot.errors import ManifestError

FINEST_PLAUSIBLE = 0.08
"""µm/px; below it no light microscope resolves anything new."""

COARSEST_PLAUSIBLE = 2.0
"""µm/px; above it no nucleus can be assessed, and the unit was probably another one."""

FINEST_STATED: Final = 0.01
COARSEST_STATED: Final = 10.0
"""A stated value is taken at its word between these, µm/px: it may be meant, as for a drawing or a macro image."""

_UM_OF_UNIT: Final = {"mm": 1e3, "cm": 1e4, "m": 1e6, "nm": 1e-3}
_OBJECTIVES: Final = (10.0, 100.0)


def check_stated_mpp(where: str, value: float) -> None:
    """Check that a number can be micrometres per pixel.

    Args:
        where: The option or cell, for the message.
        value: The number.

    Raises:
        ManifestError: It is not positive, or outside :data:`FINEST_STATED` to :data:`COARSEST_STATED`; the message says which
            unit would fit.
    """
    if not (math.isfinite(value) and value > 0):
        raise ManifestError(f"{where}: expected micrometres per pixel such as 0.25, found {value:g}")
    if FINEST_STATED <= value <= COARSEST_STATED:
        return
    hint = "; correct it"
    if _OBJECTIVES[0] <= value <= _OBJECTIVES[1]:
        hint = ", perhaps the magnification of an objective; state the size of a pixel"
    for unit, um in _UM_OF_UNIT.items():
        if FINEST_PLAUSIBLE <= value * um <= COARSEST_PLAUSIBLE:
            hint = f"; is it in {unit}? {value:g} {unit} are {value * um:g} µm: state {value * um:g}"
    raise ManifestError(
        f"{where}: expected micrometres per pixel such as 0.25 ({FINEST_STATED:g} to {COARSEST_STATED:g}), found {value:g}{hint}"
    )

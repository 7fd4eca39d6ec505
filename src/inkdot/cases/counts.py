"""Arithmetic on counts that a person made. Nothing is read off an image."""

from dataclasses import dataclass
from typing import Final

HIGHEST_CPS: Final = 100.0
CPS_SOURCE: Final = "PD-L1 22C3 scoring as given by biomarkertesting.ca/en/methods"


@dataclass(frozen=True, slots=True)
class CombinedPositiveScore:
    """PD-L1 combined positive score (CPS).

    Attributes:
        value: 0 to 100.
        capped: Whether the quotient was above 100, which is the highest score by definition.
        tumour_percent: Stained tumour cells alone in percent of the viable ones (tumour proportion score, TPS), 0 to 100.
    """

    value: float
    capped: bool
    tumour_percent: float


def combined_positive_score(
    stained_tumour_cells: float, stained_immune_cells: float, viable_tumour_cells: float
) -> CombinedPositiveScore:
    """PD-L1 stained tumour and immune cells over viable tumour cells, times 100; at most 100.

    Immune cells are lymphocytes and macrophages beside the tumour, as the counting person decided. Definition:
    :data:`CPS_SOURCE`.

    Args:
        stained_tumour_cells: Count of stained viable tumour cells.
        stained_immune_cells: Count of stained lymphocytes and macrophages.
        viable_tumour_cells: Count of all viable tumour cells, stained or not.

    Raises:
        ValueError: A count is negative or no whole number, no tumour cell is viable, or more are stained than viable.
    """
    counts = {
        "stained tumour cells": stained_tumour_cells,
        "stained immune cells": stained_immune_cells,
        "viable tumour cells": viable_tumour_cells,
    }
    for name, count in counts.items():
        if not count >= 0 or count != int(count):
            raise ValueError(f"{name}: expected a whole number of at least 0, found {count:g}; correct it")
    if viable_tumour_cells == 0:
        raise ValueError("viable tumour cells: expected at least 1, found 0; the score is not defined")
    if stained_tumour_cells > viable_tumour_cells:
        raise ValueError(
            f"stained tumour cells: expected at most the viable ones ({viable_tumour_cells:g}), "
            f"found {stained_tumour_cells:g}; correct one"
        )
    quotient = 100.0 * (stained_tumour_cells + stained_immune_cells) / viable_tumour_cells
    return CombinedPositiveScore(
        min(quotient, HIGHEST_CPS), quotient > HIGHEST_CPS, 100.0 * stained_tumour_cells / viable_tumour_cells
    )

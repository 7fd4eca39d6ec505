"""The slide's own resting lymphocytes as size reference.

"Three lymphocytes" is a rule relative to the slide, and texts differ on what it measures (DOMAIN A1.2). So the ratio of
nuclear diameters is reported with its definition, and no cut-off is applied to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from inkdot.morphometry.nucleus_measurements import NucleusMeasurement

MIN_LYMPHOCYTES: Final = 20
"""Least number of accepted lymphocytes for a reference."""

DEFINITION: Final = (
    "equivalent diameter of the nucleus divided by the median equivalent nuclear diameter "
    "of the slide's resting lymphocytes"
)

_DIAMETER_UM = (4.5, 9.5)
_MAX_ASPECT = 1.3
_MIN_SOLIDITY = 0.90
_MAX_NUCLEOLUS = 0.5
_MIN_NC_AREA = 0.45
_TRIM = 1.25


@dataclass(frozen=True, slots=True)
class LymphocyteReference:
    """Size and darkness of the slide's resting lymphocytes.

    Attributes:
        lymphocytes: Number of accepted resting lymphocytes.
        diameter_um: Their median equivalent nuclear diameter in µm; None where unavailable.
        mean_od: Their median optical density of red and green light; None where unavailable.
        reason: Why it is unavailable; empty where it is available.
    """

    lymphocytes: int
    diameter_um: float | None
    mean_od: float | None
    reason: str = ""

    @property
    def available(self) -> bool:
        """Whether ratios can be given."""
        return self.diameter_um is not None

    def ratio(self, diameter_um: float) -> float | None:
        """Nuclear diameter by the lymphocytes' (see ``DEFINITION``); None without a reference."""
        return diameter_um / self.diameter_um if self.diameter_um is not None else None

    def hyperchromasia(self, mean_od: float) -> float | None:
        """Mean optical density by the lymphocytes'; None without a reference. Above 1: darker than lymphocytes."""
        return mean_od / self.mean_od if self.mean_od else None


def lymphocyte_reference(
    nuclei: Sequence[NucleusMeasurement], min_lymphocytes: int = MIN_LYMPHOCYTES
) -> LymphocyteReference:
    """Find the resting lymphocytes among a slide's nuclei.

    Accepted are nuclei that lie whole in the image, round (aspect at most 1.3), convex, without a nucleolus, with
    scant cytoplasm, in focus, dark, and of 4.5 to 9.5 µm. Of these, the small ones count: resting lymphocytes
    are the smallest round nuclei of cerebrospinal fluid, so what exceeds the 30th percentile's diameter by
    more than 1.25 (reactive lymphocytes, monocytes, tumour) is left out, as is what is paler than half the dark
    ones.

    Args:
        nuclei: All measured nuclei of one slide.
        min_lymphocytes: With fewer there is no reference.
    """
    round_ones = [one for one in nuclei if _looks_resting(one)]
    if round_ones:
        darkness = np.asarray([one.mean_od for one in round_ones])
        dark = [one for one in round_ones if one.mean_od >= 0.6 * float(np.percentile(darkness, 75))]
        sharp_limit = 2.0 * float(np.percentile([one.edge_blur_um for one in dark], 25)) if dark else 0.0
        dark = [one for one in dark if one.edge_blur_um <= sharp_limit]
        small = float(np.percentile([one.diameter_um for one in dark], 30)) if dark else 0.0
        round_ones = [one for one in dark if small / _TRIM <= one.diameter_um <= small * _TRIM]
    count = len(round_ones)
    if count < min_lymphocytes:
        return LymphocyteReference(
            count,
            None,
            None,
            f"lymphocyte reference unavailable: {count} resting lymphocytes, {min_lymphocytes} needed",
        )
    return LymphocyteReference(
        count,
        float(np.median([one.diameter_um for one in round_ones])),
        float(np.median([one.mean_od for one in round_ones])),
    )


def _looks_resting(one: NucleusMeasurement) -> bool:
    return (
        not one.touches_border
        and _DIAMETER_UM[0] <= one.diameter_um <= _DIAMETER_UM[1]
        and one.aspect <= _MAX_ASPECT
        and one.solidity_fraction >= _MIN_SOLIDITY
        and one.nucleolus_score <= _MAX_NUCLEOLUS
        and one.nc_area_ratio >= _MIN_NC_AREA
    )

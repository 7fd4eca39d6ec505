"""Constants of the segmentation, relative to a nominal nuclear diameter.

One setting serves every stain and scale; nothing is chosen per image. The values were tuned on the same 53
annotated images on which docs/explanation/morphometry.md reports, so its results are slightly optimistic.
"""

import math
from dataclasses import dataclass
from typing import Final

NOMINAL_DIAMETER_UM: Final = 8.4
"""Diameter that the working scale is made for: between a resting lymphocyte and the nuclei of carcinomas. Found
nuclei may have 0.4 to 3 times this diameter, so that it does not bias what is measured."""

DIAMETER_PX: Final = 24.0
"""The same diameter in working pixels; a larger value takes longer and finds no more."""

WORKING_MPP: Final = NOMINAL_DIAMETER_UM / DIAMETER_PX
"""Micrometres per pixel at which nuclei are outlined: one scale for slides of 0.22 to 0.5 µm/px."""

NOMINAL_AREA_PX: Final = math.pi / 4 * DIAMETER_PX**2


@dataclass(frozen=True, slots=True)
class Priors:
    """Constants of the segmentation. Lengths are fractions of the nominal nuclear diameter.

    Attributes:
        smoothing: Sigma of the blur before thresholding.
        edge_smoothing: Sigma at which edges are measured.
        landscape_smoothing: Sigma of the stain's share in the landscape on which touching nuclei are split.
        smallest: Least diameter of a nucleus.
        largest: Greatest diameter of a nucleus.
        hole: Pale spots of up to this diameter inside a nucleus belong to it.
        levels: Number of thresholds.
        lowest_level: Lowest threshold, as a fraction of the darkest nuclei's stain.
        solidity_power: How much concave outlines count against a region.
        split_below: Regions less solid than this are also offered in parts.
        split_depth: Nuclei are split at necks shallower than this fraction of the landscape's height.
        depth_cap: Depth beyond which a region's middle counts no more, so that large nuclei are not split.
        edge_half: Edge, as a fraction of the image's strong edges, that earns half the credit.
        strong_edges: Percentile of the image's edges that counts as strong.
        cut_credit: Credit of an outline where it is cut between touching nuclei.
        mass_credit: Credit for dark area that finer parts leave out.
        object_cost: Cost of every further nucleus, in nominal areas: fewer nuclei where the evidence is equal.
        least_quality: Regions below this quality (0 to 1) are no nuclei.
        least_stain: Regions paler than this fraction of the image's typical nuclei are none.
        outline_height: Where an outline lies between its surroundings (0) and the inside (1).
        outline_smoothing: Radius with which outlines are smoothed.
    """

    smoothing: float = 0.6 / 24
    edge_smoothing: float = 1.0 / 24
    landscape_smoothing: float = 0.1
    smallest: float = 0.4
    largest: float = 3.0
    hole: float = 0.6
    levels: int = 20
    lowest_level: float = 0.06
    solidity_power: float = 4.0
    split_below: float = 0.97
    split_depth: float = 0.05
    depth_cap: float = 0.4
    edge_half: float = 0.3
    strong_edges: float = 97.0
    cut_credit: float = 0.7
    mass_credit: float = 0.95
    object_cost: float = 0.08
    least_quality: float = 0.4
    least_stain: float = 0.3
    outline_height: float = 0.5
    outline_smoothing: float = 0.09


PRIORS: Final = Priors()

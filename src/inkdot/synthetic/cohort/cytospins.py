"""Specimens of cerebrospinal fluid on cytospins: cells and artefacts per area of the spot."""

import math
from dataclasses import dataclass

import numpy as np

CYTOSPIN_VERSION = 1
"""Raised when the same seed gives other cytospins. Other slides do not depend on it."""

FULL_CYTOSPIN_MM = 6.5

Density = tuple[float, float]
"""Lowest and highest number per mm² of the spot; drawn log-uniformly."""

Range = tuple[int, int]
"""Lowest and highest number on a spot of at least 2 mm; smaller spots have fewer."""


@dataclass(frozen=True, slots=True)
class Cytospin:
    """Cells and artefacts of a specimen on a cytospin.

    Attributes:
        lymphocytes: Small lymphocytes, the size reference.
        monocytes: Monocytes.
        neutrophils: Neutrophils.
        macrophages: Macrophages.
        red_cells: Red cells, some of them crenated.
        tumour_cells: Tumour cells, single and in sheets.
        smudged_cells: Burst cells: a smudged nucleus in frayed cytoplasm.
        sheet_share: Share (0 to 1) of the tumour cells in sheets.
        largest_sheet: Most cells in one sheet.
        most_cells: Most nucleated cells on the slide.
        tumour: Tumour of the patients, as in :class:`inkdot.synthetic.cohort.patients.Patient`.
        fibres: Cotton fibres.
        hairs: Hairs.
        clots: Protein clots.
        scratches: Scratches.
        precipitates: Patches and clumps of stain precipitate.
        p_pen_ring: Probability of a pen ring around the spot.
    """

    lymphocytes: Density = (60.0, 200.0)
    monocytes: Density = (20.0, 90.0)
    neutrophils: Density = (1.0, 12.0)
    macrophages: Density = (0.5, 6.0)
    red_cells: Density = (10.0, 200.0)
    tumour_cells: Density = (0.0, 0.0)
    smudged_cells: Density = (1.0, 12.0)
    sheet_share: float = 0.0
    largest_sheet: int = 12
    most_cells: int = 1_000_000
    tumour: str = ""
    fibres: Range = (0, 2)
    hairs: Range = (0, 0)
    clots: Range = (1, 4)
    scratches: Range = (0, 2)
    precipitates: Range = (0, 3)
    p_pen_ring: float = 0.5


CYTOSPINS: dict[str, Cytospin] = {
    "csf-cytospin-negative": Cytospin(),
    "csf-cytospin-fibres": Cytospin(
        *((1.0, 4.0), (0.5, 2.0), (0.0, 1.0), (0.0, 0.0), (2.0, 40.0)),
        smudged_cells=(0.0, 1.0), most_cells=12, fibres=(8, 14), hairs=(0, 1), clots=(3, 8), scratches=(1, 3),
        precipitates=(1, 4),
    ),
    "csf-cytospin-small-cell": Cytospin(tumour_cells=(40.0, 160.0), sheet_share=0.7, tumour="small_cell"),
    "csf-cytospin-large-cell": Cytospin(tumour_cells=(30.0, 120.0), sheet_share=0.6, tumour="large_cell"),
    "csf-cytospin-carcinoma": Cytospin(tumour_cells=(20.0, 120.0), sheet_share=0.15, tumour="adenocarcinoma"),
    "csf-cytospin-dense": Cytospin(
        *((20.0, 120.0), (10.0, 60.0), (5.0, 60.0), (5.0, 40.0)),
        tumour_cells=(1000.0, 2500.0), smudged_cells=(20.0, 100.0), sheet_share=0.85, largest_sheet=30,
        tumour="any", fibres=(0, 1), clots=(0, 2),
    ),
}  # fmt: skip

CSF_CYTOSPIN = "csf-cytospin"
"""The mixture of all specimens. Every patient has two slides: the first in Pap, the second in MGG stain."""


CSF_CYTOSPIN_TRAINING = "csf-cytospin-training"
"""Small, coarse cytospins to train the demo's model on."""

TRAINING_ORDER = (
    "small-cell",
    "negative",
    "large-cell",
    "negative",
    "small-cell",
    "fibres",
    "large-cell",
    "negative",
)
"""Specimens of the patients of ``CSF_CYTOSPIN_TRAINING``, repeated in this order."""


def draw_number(per_mm2: Density, area_mm2: float, rng: np.random.Generator) -> int:
    """Draw a number of cells on an area."""
    low, high = per_mm2
    return round(math.exp(rng.uniform(math.log(low + 0.1), math.log(high + 0.1))) * area_mm2) if high else 0

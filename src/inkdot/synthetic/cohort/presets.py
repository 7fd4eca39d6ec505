"""What kinds of specimen there are and how many cells of each class lie on them (SYNTHETIC.md B4)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from inkdot.errors import UserError

Range = tuple[int, int]
FULL_SPOT_MM = 20.0


@dataclass(frozen=True, slots=True)
class Composition:
    """Counts on a full 20 mm spot, each drawn log-uniformly from its range.

    Attributes:
        lymphocytes: Resting lymphocytes, the size reference.
        monocytes: Monocytes.
        neutrophils: Neutrophils.
        red_cells: Red cells.
        choroid_groups: Groups of choroid plexus or ependymal cells; one by its chance per slide where None.
        lymphoid_aggregates: Lymphocytes lying in a heap; one by its chance per slide where None.
        whorls: Arachnoid whorls.
        tumour_clusters: Clusters of tumour cells.
        tumour_singles: Tumour cells lying alone.
        germinal_matrix: Groups of immature cells, as in newborns; nearly perfect mimics of small-cell carcinoma.
        squames: Skin scales, a contaminant.
        chondrocytes: Cartilage cells that the needle brought along.
        reactive_share: Share of the lymphocytes that are activated.
        macrophage_share: Share of the monocytes that are macrophages.
        leptomeningeal: The patient has tumour in the leptomeninges, on this slide or not.
        lysed_share: Share of red cells that are ghosts; 0.3 to 0.7 where 0.
        degenerate: Bounds of the share of cells that fell apart; the patient's own share where None.
    """

    lymphocytes: Range
    monocytes: Range
    neutrophils: Range = (0, 0)
    red_cells: Range = (0, 0)
    choroid_groups: Range | None = None
    lymphoid_aggregates: Range | None = None
    whorls: Range = (0, 0)
    tumour_clusters: Range = (0, 0)
    tumour_singles: Range = (0, 0)
    germinal_matrix: Range = (0, 0)
    squames: Range = (0, 3)
    chondrocytes: Range = (0, 0)
    reactive_share: float = 0.05
    macrophage_share: float = 0.03
    leptomeningeal: bool = False
    lysed_share: float = 0.0
    degenerate: tuple[float, float] | None = None


COMPOSITIONS: dict[str, Composition] = {
    "normal": Composition((40, 400), (15, 150), (0, 4), (0, 300)),
    "pleocytosis": Composition(
        (3000, 15000), (500, 3000), (0, 50), (0, 500), (0, 3), (5, 30), (0, 1), reactive_share=0.15
    ),
    "bacterial": Composition((300, 1500), (200, 800), (2000, 10000), (0, 1000), reactive_share=0.15),
    "traumatic": Composition(
        (100, 800), (40, 300), (10, 300), (5000, 60000), squames=(0, 12), chondrocytes=(0, 2), lysed_share=0.7
    ),
    "ventricular": Composition((100, 800), (100, 900), (0, 100), (0, 3000), (10, 80), (0, 2)),
    "treated": Composition(
        (300, 3000),
        (400, 3000),
        (0, 100),
        (0, 500),
        (0, 2),
        (0, 3),
        (0, 1),
        reactive_share=0.25,
        macrophage_share=0.2,
    ),
    "neonate": Composition(
        (50, 600),
        (100, 1500),
        (0, 20),
        (0, 3000),
        (0, 4),
        (0, 1),
        germinal_matrix=(3, 20),
        macrophage_share=0.3,
    ),
    # What lies around the tumour in the next two, without it: nothing but the tumour tells these slides apart.
    "mild-pleocytosis": Composition((200, 5000), (80, 1500), (0, 40), (0, 1000), (0, 2), (0, 2), (0, 1)),
    "lm-minimal": Composition(
        *((200, 5000), (80, 1500), (0, 40), (0, 1000)),
        *((0, 2), (0, 2), (0, 1)),
        tumour_clusters=(1, 5),
        tumour_singles=(0, 10),
        leptomeningeal=True,
    ),
    "lm-typical": Composition(
        *((200, 5000), (100, 1500), (0, 40), (0, 1000)),
        *((0, 2), (0, 2), (0, 1)),
        tumour_clusters=(5, 40),
        tumour_singles=(10, 200),
        leptomeningeal=True,
    ),
    "lm-heavy": Composition(
        *((100, 2000), (50, 800), (0, 40), (0, 2000)),
        *((0, 1), (0, 1), (0, 1)),
        tumour_clusters=(40, 300),
        tumour_singles=(200, 3000),
        leptomeningeal=True,
    ),
    "lm-missed": Composition((40, 400), (15, 150), (0, 4), (0, 300), leptomeningeal=True),
    "adenocarcinoma": Composition(
        *((200, 5000), (100, 1500), (0, 40), (0, 1000)),
        tumour_clusters=(5, 40),
        tumour_singles=(10, 200),
        leptomeningeal=True,
    ),
    "lymphoma": Composition(
        *((200, 5000), (100, 1500), (0, 40), (0, 1000)),
        tumour_clusters=(1, 8),
        tumour_singles=(500, 5000),
        leptomeningeal=True,
    ),
    "inadequate": Composition((2, 11), (0, 6), (0, 2), (0, 100), (0, 0), (0, 0)),
    "degenerate": Composition((40, 400), (15, 150), (0, 40), (0, 1000), degenerate=(0.65, 0.9)),
}

Tumour = str
"""``small_cell``, ``large_cell``, ``mixed``, ``adenocarcinoma``, ``lymphoma``, or empty."""


@dataclass(frozen=True, slots=True)
class PatientKind:
    """One entry of a cohort's recipe.

    Attributes:
        composition: Key of ``COMPOSITIONS``.
        tumour: What the patient has; empty for none, ``any`` to draw one.
        mpp_fault: What is wrong with the file's micrometres per pixel; a key of ``MPP_FAULTS`` or empty.
    """

    composition: str
    tumour: Tumour = ""
    mpp_fault: str = ""


MPP_FAULTS: dict[str, tuple[float, float] | None] = {
    "missing": None,
    "doubled": (2.0, 2.0),
    "implausible": (40.0, 40.0),
    "anisotropic": (1.0, 1.2),
}
"""Factors on the true micrometres per pixel along x and y that a faulty file states; None states nothing."""

_TRAINING = (
    PatientKind("lm-typical", "small_cell"),
    PatientKind("normal"),
    PatientKind("lm-typical", "large_cell"),
    PatientKind("ventricular"),
    PatientKind("lm-typical", "small_cell"),
    PatientKind("pleocytosis"),
    PatientKind("lm-typical", "large_cell"),
    PatientKind("treated"),
)
_DEMO = (
    PatientKind("lm-minimal", "large_cell"),
    PatientKind("normal"),
    PatientKind("lm-minimal", "small_cell"),
    PatientKind("pleocytosis"),
    PatientKind("lm-typical", "small_cell"),
    PatientKind("ventricular"),
    PatientKind("normal"),
    PatientKind("traumatic"),
    PatientKind("lm-missed", "small_cell"),
    PatientKind("treated"),
    PatientKind("normal"),
    PatientKind("inadequate"),
)

SECTIONS: dict[str, Tumour] = {
    "small-cell-section": "small_cell",
    "large-cell-section": "large_cell",
    "combined-section": "mixed",
    "benign-section": "",
}
"""H&E sections and the tumour in them."""

_SECTIONS_DEMO = tuple(
    PatientKind(name, SECTIONS[name])
    for name in (
        *("small-cell-section", "benign-section", "large-cell-section", "small-cell-section"),
        *("benign-section", "large-cell-section", "combined-section"),
    )
)


def _tumour_of(name: str, made: Composition) -> Tumour:
    """What the patients of a composition have: what it is named after, any of the two carcinomas, or nothing."""
    if name in {"adenocarcinoma", "lymphoma"}:
        return name
    return "any" if made.leptomeningeal else ""


COHORTS: dict[str, tuple[PatientKind, ...]] = {
    **{name: (PatientKind(name, tumour),) for name, tumour in SECTIONS.items()},
    "demo-sections": _SECTIONS_DEMO,
    **{name: (PatientKind(name, _tumour_of(name, made)),) for name, made in COMPOSITIONS.items()},
    "demo": _DEMO,
    "inadequate": (
        PatientKind("inadequate"),
        PatientKind("degenerate", "any"),
        PatientKind("inadequate", "any"),
    ),
    "laboratories": _TRAINING,
    "faulty-mpp": tuple(PatientKind("lm-typical", "any", fault) for fault in MPP_FAULTS),
    "demo-training": _TRAINING,
}


@dataclass(frozen=True, slots=True)
class Defaults:
    """Size and scale of a preset's slides where none are asked for.

    Attributes:
        spot_mm: Diameter of the cell spot, or side of the section.
        mpp: Micrometres per pixel.
        laboratories: How many laboratories the slides come from.
        scanners: How many scanners.
        native_mpp: Every scanner scans at its own mpp instead.
        paired: Every second patient has two slides, so that splits by patient have something to get wrong.
        second_slides: Where not paired: later slide of the cohort's recipe to the slide of the same patient.
    """

    spot_mm: float = 2.0
    mpp: float = 0.25
    laboratories: int = 3
    scanners: int = 2
    native_mpp: bool = False
    paired: bool = True
    second_slides: Mapping[int, int] = field(default_factory=dict[int, int])


def defaults(preset: str) -> Defaults:
    """What a preset's slides are like; training cohorts and sections are small and coarse, so that many are cheap."""
    if preset == "laboratories":
        return Defaults(spot_mm=1.0, laboratories=8, scanners=4, native_mpp=True)
    if preset == "demo":  # the missed tumour is that of a patient with a telling slide; ten patients in all
        return Defaults(paired=False, second_slides={8: 4, 10: 1})
    if preset == "faulty-mpp":
        return Defaults(paired=False)
    coarse = preset in {"demo-training", "demo-sections", *SECTIONS}
    return Defaults(spot_mm=1.0, mpp=0.5) if coarse else Defaults()


def cohort(preset: str) -> tuple[PatientKind, ...]:
    """The kinds of patient of a preset, repeated in this order.

    Raises:
        UserError: There is no such preset.
    """
    if preset not in COHORTS:
        raise UserError(f"--preset: expected one of {', '.join(sorted(COHORTS))}, found {preset!r}")
    return COHORTS[preset]


def is_scaled(spot_mm: float) -> bool:
    """Whether a spot is so small that counts are kept higher than its area would have them."""
    return spot_mm < FULL_SPOT_MM / 2.0


def cell_count(full: Range, spot_mm: float, rng: np.random.Generator) -> int:
    """A number of single cells for a spot; small spots keep a diameter's share instead of an area's.

    Of a class with at least 30 cells on every full spot a small spot holds at least 30 too, so that a slide that
    is adequate at full size stays so.
    """
    share = spot_mm / FULL_SPOT_MM
    drawn = _log_uniform(full, rng)
    if not is_scaled(spot_mm):
        return round(drawn * share**2)
    return max(round(drawn * share), min(full[0], 30) if full[0] >= 30 else 0)


def cluster_count(full: Range, spot_mm: float, rng: np.random.Generator) -> int:
    """A number of clusters; small spots keep enough of them to be worth looking at, at least one where due."""
    drawn = _log_uniform(full, rng)
    share = spot_mm / FULL_SPOT_MM
    scaled = drawn * (share**0.4 if is_scaled(spot_mm) else share**2)
    return max(round(scaled), min(full[0], 1))


def _log_uniform(bounds: Range, rng: np.random.Generator) -> float:
    low, high = bounds
    return math.exp(rng.uniform(math.log(low + 1.0), math.log(high + 1.0))) - 1.0

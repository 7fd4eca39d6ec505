"""Kinds of specimen with their cell counts (SYNTHETIC.md B4), and presets of cohorts."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from inkdot.errors import UserError
from inkdot.synthetic.cohort.cytospins import CSF_CYTOSPIN, CSF_CYTOSPIN_TRAINING, CYTOSPINS, TRAINING_ORDER

Range = tuple[int, int]
FULL_SPOT_MM = 20.0


@dataclass(frozen=True, slots=True)
class Composition:
    """Cell counts on a spot of 20 mm, each drawn log-uniformly from its range.

    Attributes:
        lymphocytes: Resting lymphocytes, the size reference.
        monocytes: Monocytes.
        neutrophils: Neutrophils.
        red_cells: Red cells.
        choroid_groups: Groups of choroid plexus or ependymal cells; None: one with probability 0.2.
        lymphoid_aggregates: Aggregates of lymphocytes; None: one with probability 0.4.
        whorls: Arachnoid whorls.
        tumour_clusters: Clusters of tumour cells.
        tumour_singles: Single tumour cells.
        germinal_matrix: Groups of germinal matrix cells of neonates, close mimics of small-cell carcinoma.
        squames: Squames of the skin, a contaminant.
        chondrocytes: Chondrocytes from the puncture.
        reactive_share: Share (0 to 1) of reactive lymphocytes.
        macrophage_share: Share of macrophages among monocytes.
        leptomeningeal: The patient has leptomeningeal metastases, whether or not this slide shows them.
        lysed_share: Share of lysed red cells (ghosts); 0: drawn from 0.3 to 0.7.
        degenerate: Range of the share of degenerate cells; None: the share of the patient.
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
    # The background of lm-minimal without tumour: only the tumour differs between these slides.
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
    """A kind of patient in a preset.

    Attributes:
        composition: Key of ``COMPOSITIONS``.
        tumour: The patient's tumour; ``any``: drawn at random; empty: none.
        mpp_fault: Error of the mpp in the file, a key of ``MPP_FAULTS``; empty for none.
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
"""Factors on the true mpp along x and y in a faulty file; None: the file states no mpp."""

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
    """Tumour of the patients of a composition."""
    if name in {"adenocarcinoma", "lymphoma"}:
        return name
    return "any" if made.leptomeningeal else ""


def _in_both_stains(names: Iterable[str]) -> tuple[PatientKind, ...]:
    """Two slides of each patient: one in Pap stain, one in MGG."""
    return tuple(PatientKind(name, CYTOSPINS[name].tumour) for name in names for _ in (0, 1))


_CYTOSPIN_COHORTS = {
    **{name: _in_both_stains([name]) for name in CYTOSPINS},
    CSF_CYTOSPIN: _in_both_stains(CYTOSPINS),
    CSF_CYTOSPIN_TRAINING: _in_both_stains(f"csf-cytospin-{name}" for name in TRAINING_ORDER),
}

COHORTS: dict[str, tuple[PatientKind, ...]] = {
    **_CYTOSPIN_COHORTS,
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
class PresetDefaults:
    """Default size, scale and sources of the slides of a preset.

    Attributes:
        spot_mm: Diameter of the cell spot, or side of the section.
        mpp: Micrometres per pixel.
        laboratories: Number of laboratories.
        scanners: Number of scanners.
        native_mpp: Use the native mpp of each scanner instead of ``mpp``.
        paired: Every second patient has two slides, so that tests can detect leakage between splits.
        second_slides: Without ``paired``: position in the preset of a second slide to that of the first slide of the patient.
    """

    spot_mm: float = 2.0
    mpp: float = 0.25
    laboratories: int = 3
    scanners: int = 2
    native_mpp: bool = False
    paired: bool = True
    second_slides: Mapping[int, int] = field(default_factory=dict[int, int])


def preset_defaults(preset: str) -> PresetDefaults:
    """Defaults of a preset; slides of training cohorts and sections are small and coarse to save time."""
    if preset == "laboratories":
        return PresetDefaults(spot_mm=1.0, laboratories=8, scanners=4, native_mpp=True)
    if preset == "demo":  # the patient of the lm-missed slide has a positive slide too; ten patients
        return PresetDefaults(paired=False, second_slides={8: 4, 10: 1})
    coarse = preset in {"demo-training", "demo-sections", CSF_CYTOSPIN_TRAINING, *SECTIONS}
    small = PresetDefaults(spot_mm=1.0, mpp=0.5) if coarse else PresetDefaults()
    if preset in _CYTOSPIN_COHORTS:
        second_slides = {k: k - 1 for k in range(1, len(COHORTS[preset]), 2)}
        return replace(small, paired=False, second_slides=second_slides)
    if preset == "faulty-mpp":
        return PresetDefaults(paired=False)
    return small


def patient_kinds(preset: str) -> tuple[PatientKind, ...]:
    """Kinds of patient of a preset, repeated in this order.

    Raises:
        UserError: There is no such preset.
    """
    if preset not in COHORTS:
        raise UserError(f"--preset: expected one of {', '.join(sorted(COHORTS))}, found {preset!r}")
    return COHORTS[preset]


def is_scaled(spot_mm: float) -> bool:
    """Whether a spot is so small that counts are scaled by less than its area."""
    return spot_mm < FULL_SPOT_MM / 2.0


def cell_count(full: Range, spot_mm: float, rng: np.random.Generator) -> int:
    """Draw a number of single cells: in proportion to the area of a spot, on small spots to its diameter.

    A class with at least 30 cells on every full spot has at least 30 on a small one, so that adequacy does not change.
    """
    share = spot_mm / FULL_SPOT_MM
    drawn = _log_uniform(full, rng)
    if not is_scaled(spot_mm):
        return round(drawn * share**2)
    return max(round(drawn * share), min(full[0], 30) if full[0] >= 30 else 0)


def cluster_count(full: Range, spot_mm: float, rng: np.random.Generator) -> int:
    """Draw a number of clusters; small spots keep more than in proportion to their area, and at least one of a class with any."""
    drawn = _log_uniform(full, rng)
    share = spot_mm / FULL_SPOT_MM
    scaled = drawn * (share**0.4 if is_scaled(spot_mm) else share**2)
    return max(round(scaled), min(full[0], 1))


def _log_uniform(bounds: Range, rng: np.random.Generator) -> float:
    low, high = bounds
    return math.exp(rng.uniform(math.log(low + 1.0), math.log(high + 1.0))) - 1.0

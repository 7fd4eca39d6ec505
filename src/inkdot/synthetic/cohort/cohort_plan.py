"""Plan of a cohort: patient, specimen, laboratory and scanner of every slide. Deterministic for a seed."""

import zlib
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from inkdot.records import Mpp
from inkdot.synthetic.cells.cytospin_recipes import CYTOSPIN_RECIPES
from inkdot.synthetic.cells.recipes import RECIPES
from inkdot.synthetic.cohort.cytospins import CYTOSPINS
from inkdot.synthetic.cohort.patients import Patient, draw_patient
from inkdot.synthetic.cohort.presets import (
    MPP_FAULTS,
    SECTIONS,
    PatientKind,
    is_scaled,
    patient_kinds,
    preset_defaults,
)
from inkdot.synthetic.rendering.csf_stains import laboratory_csf_stain
from inkdot.synthetic.rendering.scanner import Scanner, scanner_number
from inkdot.synthetic.rendering.stains import Stain, laboratory_stain
from inkdot.units import MicrometresPerPixel


@dataclass(frozen=True, slots=True)
class SlidePlan:
    """Plan of one slide, which determines everything on it.

    Attributes:
        slide_id: Name of the slide; starts with ``synthetic_``.
        preset: The requested preset.
        composition: Kind of specimen.
        seed: Seed of the cohort.
        number: Number in the cohort, from 0.
        patient: Number of its patient in the cohort.
        tumour: The patient's tumour; ``any``: drawn at random; empty: none.
        laboratory: Number of the laboratory.
        scanner: Number of the scanner.
        spot_mm: Diameter of the cell spot, or side of the section.
        mpp: Micrometres per pixel.
        mpp_fault: Error of the mpp in the file, a key of ``MPP_FAULTS``; empty for none.
        only_confounders: Exactly these confounders, comma-separated, or ``none``; empty: drawn at random.
    """

    slide_id: str
    preset: str
    composition: str
    seed: int
    number: int
    patient: int
    tumour: str
    laboratory: int
    scanner: int
    spot_mm: float
    mpp: float
    mpp_fault: str = ""
    only_confounders: str = ""

    @property
    def stated_mpp(self) -> Mpp | None:
        """Micrometres per pixel in the file, faults included; None where the file states none."""
        if not self.mpp_fault:
            return Mpp.square(self.mpp)
        factors = MPP_FAULTS[self.mpp_fault]
        if factors is None:
            return None
        return Mpp(MicrometresPerPixel(self.mpp * factors[0]), MicrometresPerPixel(self.mpp * factors[1]))

    @property
    def confounders(self) -> frozenset[str] | None:
        """Exactly these confounders; None: drawn at random."""
        if not self.only_confounders:
            return None
        return frozenset(() if self.only_confounders == "none" else self.only_confounders.split(","))

    @property
    def is_section(self) -> bool:
        """Whether the slide is an H&E section."""
        return self.composition in SECTIONS

    @property
    def is_cytospin(self) -> bool:
        """Whether the slide is a cytospin rather than a ThinPrep spot."""
        return self.composition in CYTOSPINS

    @property
    def preparation(self) -> Literal["thinprep", "cytospin", "section"]:
        """Value of the column `preparation` in the slide table."""
        if self.is_cytospin:
            return "cytospin"
        return "section" if self.is_section else "thinprep"

    @property
    def stain_name(self) -> str:
        """Value of the column `stain` in the slide table; of cytospins every second one is in MGG."""
        if self.is_cytospin:
            return "mgg" if self.number % 2 else "pap"
        return "he" if self.is_section else "pap"

    @property
    def patient_id(self) -> str:
        """Pseudonym of the patient, unique across presets and seeds."""
        return f"synthetic-{self.preset}-{self.seed}-p{self.patient:03d}"

    @property
    def counts(self) -> str:
        """``scaled`` where a small spot holds more cells than in proportion to its area."""
        by_area = self.is_section or self.is_cytospin or not is_scaled(self.spot_mm)
        return "by area" if by_area else "scaled"

    def facts(self) -> dict[str, object]:
        """The plan as JSON values, for the metadata of the file and the check whether to reuse it."""
        return asdict(self)

    def generator(self, purpose: str) -> np.random.Generator:
        """A random generator of this slide, independent for each purpose."""
        return _generator(self.preset, self.seed, purpose, self.number)

    def draw_patient(self) -> Patient:
        """Draw the patient; the same on all slides of the patient."""
        rng = _generator(self.preset, self.seed, "patient", self.patient)
        return draw_patient(self.tumour, rng, CYTOSPIN_RECIPES if self.is_cytospin else RECIPES)

    def stain(self) -> Stain:
        """Stain of the laboratory, the same in every cohort."""
        rng = np.random.default_rng([0x1AB, self.laboratory])
        return (laboratory_csf_stain if self.is_cytospin else laboratory_stain)(self.stain_name, rng)

    def scanner_properties(self) -> Scanner:
        """The scanner, the same in every cohort."""
        return scanner_number(self.scanner)


def plan_cohort(
    preset: str, slides: int, seed: int, spot_mm: float | None = None, mpp: float | None = None
) -> list[SlidePlan]:
    """Plan the slides of a cohort; the first n slides do not depend on the number of slides.

    Raises:
        UserError: There is no such preset.
    """
    kinds = patient_kinds(preset)
    return [_plan_slide(preset, kinds, number, seed, spot_mm, mpp) for number in range(slides)]


def _plan_slide(
    preset: str,
    kinds: tuple[PatientKind, ...],
    number: int,
    seed: int,
    spot_mm: float | None,
    mpp: float | None,
) -> SlidePlan:
    standard = preset_defaults(preset)
    triple, position = divmod(number, 3)
    if standard.paired:
        patient = 2 * triple + (1 if position == 2 else 0)
        kind = kinds[patient % len(kinds)]
    else:
        position_in_cohort = number % len(kinds)
        patient = (
            number - position_in_cohort + standard.second_slides.get(position_in_cohort, position_in_cohort)
        )
        kind = kinds[position_in_cohort]
    rng = _generator(preset, seed, "laboratory", patient)
    laboratory = int(rng.integers(standard.laboratories))
    scanner = laboratory % standard.scanners if rng.random() < 0.8 else int(rng.integers(standard.scanners))
    scale = scanner_number(scanner).native_mpp if standard.native_mpp else standard.mpp
    return SlidePlan(
        slide_id=f"synthetic_{preset}_s{seed}_{number:04d}",
        preset=preset,
        composition=kind.composition,
        seed=seed,
        number=number,
        patient=patient,
        tumour=kind.tumour,
        laboratory=laboratory,
        scanner=scanner,
        spot_mm=standard.spot_mm if spot_mm is None else spot_mm,
        mpp=scale if mpp is None else mpp,
        mpp_fault=kind.mpp_fault,
    )


def _generator(preset: str, seed: int, purpose: str, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(preset.encode()), zlib.crc32(purpose.encode()), number])

"""Plans a cohort: which slide of which patient, made where, scanned how. Pure, and the same for the same seed."""

import zlib
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from inkdot.records import Mpp
from inkdot.synthetic.cohort.patients import Patient, draw_patient
from inkdot.synthetic.cohort.presets import (
    MPP_FAULTS,
    SECTIONS,
    PatientKind,
    cohort,
    defaults,
    is_scaled,
)
from inkdot.synthetic.rendering.scanner import Scanner, scanner_number
from inkdot.synthetic.rendering.stains import Stain, laboratory_stain
from inkdot.units import MicrometresPerPixel


@dataclass(frozen=True, slots=True)
class SlidePlan:
    """One slide to make. Everything about it follows from these values.

    Attributes:
        slide_id: Its name, which starts with ``synthetic_``.
        preset: The requested preset.
        composition: What kind of specimen this slide of the preset is.
        seed: Seed of the cohort.
        number: Its number in the cohort, from 0.
        patient: Number of its patient in the cohort.
        tumour: The patient's tumour as planned, ``any`` to be drawn, empty for none.
        laboratory: Number of the laboratory.
        scanner: Number of the scanner.
        spot_mm: Diameter of the cell spot, or side of the section.
        mpp: Micrometres per pixel.
        mpp_fault: What is wrong with the mpp that the file states; empty for nothing.
        only_confounders: Exactly these confounders, comma-separated, or ``none``; empty draws them by chance.
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
        """Micrometres per pixel as the file states them, right or wrong; None for not at all."""
        if not self.mpp_fault:
            return Mpp.square(self.mpp)
        factors = MPP_FAULTS[self.mpp_fault]
        if factors is None:
            return None
        return Mpp(MicrometresPerPixel(self.mpp * factors[0]), MicrometresPerPixel(self.mpp * factors[1]))

    @property
    def confounders(self) -> frozenset[str] | None:
        """Exactly these, or None to draw them by chance."""
        if not self.only_confounders:
            return None
        return frozenset(() if self.only_confounders == "none" else self.only_confounders.split(","))

    @property
    def is_section(self) -> bool:
        """Whether the slide is an H&E section rather than a ThinPrep spot."""
        return self.composition in SECTIONS

    @property
    def preparation(self) -> Literal["thinprep", "section"]:
        """The manifest's word for the preparation."""
        return "section" if self.is_section else "thinprep"

    @property
    def stain_name(self) -> str:
        """The manifest's word for the stain."""
        return "he" if self.is_section else "pap"

    @property
    def patient_id(self) -> str:
        """Pseudonym of the patient, unique over presets and seeds."""
        return f"synthetic-{self.preset}-{self.seed}-p{self.patient:03d}"

    @property
    def counts(self) -> str:
        """``scaled`` where a small spot holds more than its area's share of cells."""
        return "scaled" if not self.is_section and is_scaled(self.spot_mm) else "by area"

    def facts(self) -> dict[str, object]:
        """The plan as JSON values, for metadata and for telling whether a file was made from it."""
        return asdict(self)

    def chance(self, purpose: str) -> np.random.Generator:
        """A stream of chance of this slide, one per purpose."""
        return _stream(self.preset, self.seed, purpose, self.number)

    def draw_patient(self) -> Patient:
        """The patient, the same on all of the patient's slides."""
        return draw_patient(self.tumour, _stream(self.preset, self.seed, "patient", self.patient))

    def stain(self) -> Stain:
        """The laboratory's staining, the same in every cohort."""
        return laboratory_stain(self.stain_name, np.random.default_rng([0x1AB, self.laboratory]))

    def scanner_properties(self) -> Scanner:
        """The scanner, the same in every cohort."""
        return scanner_number(self.scanner)


def plan_cohort(
    preset: str, slides: int, seed: int, spot_mm: float | None = None, mpp: float | None = None
) -> list[SlidePlan]:
    """Plan the slides of a cohort; the first n slides are the same however many are asked for.

    Raises:
        UserError: There is no such preset.
    """
    kinds = cohort(preset)
    return [_plan_slide(preset, kinds, number, seed, spot_mm, mpp) for number in range(slides)]


def _plan_slide(
    preset: str,
    kinds: tuple[PatientKind, ...],
    number: int,
    seed: int,
    spot_mm: float | None,
    mpp: float | None,
) -> SlidePlan:
    usual = defaults(preset)
    triple, position = divmod(number, 3)
    if usual.paired:
        patient = 2 * triple + (1 if position == 2 else 0)
        kind = kinds[patient % len(kinds)]
    else:
        again = number % len(kinds)
        patient = number - again + usual.second_slides.get(again, again)
        kind = kinds[again]
    where = _stream(preset, seed, "laboratory", patient)
    laboratory = int(where.integers(usual.laboratories))
    scanner = laboratory % usual.scanners if where.random() < 0.8 else int(where.integers(usual.scanners))
    scale = scanner_number(scanner).native_mpp if usual.native_mpp else usual.mpp
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
        spot_mm=usual.spot_mm if spot_mm is None else spot_mm,
        mpp=scale if mpp is None else mpp,
        mpp_fault=kind.mpp_fault,
    )


def _stream(preset: str, seed: int, purpose: str, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(preset.encode()), zlib.crc32(purpose.encode()), number])

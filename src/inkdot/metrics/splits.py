"""Which slides train and which validate: whole patients, always."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from inkdot.errors import LeakageError, ManifestError, UserError
from inkdot.metrics.site_splits import site_folds, site_units

Part = Literal["train", "validation", "test"]
"""``test`` slides are kept out of training altogether, for `inkdot evaluate`."""

PARTS: tuple[Part, ...] = get_args(Part)

GroupBy = Literal["patient", "site"]
"""What is never torn apart: a patient, or a site with all its patients."""


@dataclass(frozen=True, slots=True)
class SplitSlide:
    """What a split needs to know of a slide.

    Attributes:
        slide_id: The slide.
        patient_id: Its patient; never empty (see :func:`patient_of`).
        positive: The flagging head's label, or None where unknown.
        labels: Words for the labels to the other heads, to share them out evenly.
        wanted: The part that the manifest's column ``split`` asks for; empty where it has none.
        site: Where it was made; empty where unknown.
    """

    slide_id: str
    patient_id: str
    positive: bool | None
    labels: tuple[str, ...] = ()
    wanted: str = ""
    site: str = ""


def patient_of(slide_id: str, patient_id: str) -> str:
    """The unit of every split: the patient, or the slide itself where the patient is unknown."""
    return patient_id or slide_id


def grouped_split(
    slides: Sequence[SplitSlide], validation_fraction: float, seed: int, together: GroupBy = "patient"
) -> dict[str, Part]:
    """Part of each slide, by slide_id.

    A column ``split`` is taken as it is. Otherwise each group of patients (positive, negative, unknown) gives its share of
    patients to validation, spread over the labels to the other heads, and at least one to either side where it
    has two. Whole sites are dealt into parts of about the wanted size, and the one nearest to the wanted share of each
    group validates.

    Args:
        slides: All slides.
        validation_fraction: Share (0 to 1) of the patients for validation.
        seed: Same seed, same split, whatever the order of the slides.
        together: What stays on one side.

    Raises:
        ManifestError: The column ``split`` is filled for some slides only, or with an unknown word; or sites stay
            together and a slide has none.
        LeakageError: The column puts one patient, or one site that stays together, into two parts.
        UserError: Sites stay together, and there is only one.
    """
    if any(slide.wanted for slide in slides):
        parts: dict[str, Part] = {slide.slide_id: _wanted_part(slide) for slide in slides}
        if together == "site":
            check_apart(site_units(slides), parts, "site")
    elif together == "site":
        parts = _draw_sites(slides, validation_fraction, seed)
    else:
        parts = _draw(slides, validation_fraction, seed)
    check_patients_apart({slide.slide_id: slide.patient_id for slide in slides}, parts)
    return parts


def grouped_folds(
    slides: Sequence[SplitSlide], folds: int, seed: int, together: GroupBy = "patient"
) -> dict[str, int]:
    """Fold of each slide, 0 to ``folds`` − 1, by slide_id: whole patients, dealt out like cards, or whole sites.

    Patients are sorted by group (positive, negative, unknown) and by the labels to the other heads before
    they are dealt, so that every fold gets its share of each.

    Raises:
        ValueError: Fewer than two folds.
        UserError: Fewer patients, or sites, than folds.
        ManifestError: Whole sites, and a slide has none.
    """
    if folds < 2:
        raise ValueError(f"expected at least 2 folds, found {folds}")
    if together == "site":
        return _site_folds(slides, folds, seed)
    of_patient = _by_patient(slides)
    if len(of_patient) < folds:
        raise UserError(
            f"expected at least {folds} patients for {folds} folds, found {len(of_patient)}; lower --folds"
        )
    ordered = sorted(
        of_patient,
        key=lambda patient: (_group(of_patient[patient]), _order(patient, of_patient[patient], seed)),
    )
    fold_of = {patient: index % folds for index, patient in enumerate(ordered)}
    return {slide.slide_id: fold_of[slide.patient_id] for slide in slides}


def check_patients_apart(patients: Mapping[str, str], parts: Mapping[str, str]) -> None:
    """Make sure that no patient is in two parts.

    Args:
        patients: Patient of each slide, by slide_id.
        parts: Part of each slide, by slide_id.

    Raises:
        LeakageError: A patient is; the message names up to five.
    """
    check_apart(patients, parts, "patient")


def check_apart(owners: Mapping[str, str], parts: Mapping[str, str], what: GroupBy) -> None:
    """Make sure that no owner of slides is in two parts; see :func:`check_patients_apart`."""
    found: dict[str, set[str]] = defaultdict(set)
    for slide_id, part in parts.items():
        found[owners[slide_id]].add(part)
    leaking = sorted(owner for owner, its_parts in found.items() if len(its_parts) > 1)
    if leaking:
        named = ", ".join(f"{owner} ({' and '.join(sorted(found[owner]))})" for owner in leaking[:5])
        more = f" and {len(leaking) - 5} more" if len(leaking) > 5 else ""
        raise LeakageError(
            f"expected each {what} in one part of the split, found {named}{more}; give all slides of a {what} the same split"
        )


def _wanted_part(slide: SplitSlide) -> Part:
    if slide.wanted not in PARTS:
        found = repr(slide.wanted) if slide.wanted else "nothing"
        raise ManifestError(
            f"slide {slide.slide_id!r}: column split: expected {', '.join(PARTS)} for every slide, found {found}; "
            "fill it, or leave the whole column out"
        )
    return slide.wanted


def _draw(slides: Sequence[SplitSlide], validation_fraction: float, seed: int) -> dict[str, Part]:
    of_patient = _by_patient(slides)
    groups: dict[str, list[str]] = defaultdict(list)
    for patient, its_slides in of_patient.items():
        groups[_group(its_slides)].append(patient)
    validating: set[str] = set()
    for group, patients in groups.items():
        validating |= _share(group, patients, of_patient, validation_fraction, seed)
    return {slide.slide_id: "validation" if slide.patient_id in validating else "train" for slide in slides}


def _draw_sites(slides: Sequence[SplitSlide], validation_fraction: float, seed: int) -> dict[str, Part]:
    fold_of = _site_folds(slides, max(2, round(1 / validation_fraction)), seed, fewer=True)
    of_patient = _by_patient(slides)
    totals = Counter(_group(own) for own in of_patient.values())
    off: dict[int, float] = {}
    for fold in sorted(set(fold_of.values())):
        here = Counter(_group(own) for own in of_patient.values() if fold_of[own[0].slide_id] == fold)
        # First of all both sides need every group; then the share should be near the one wanted.
        empty = sum(here[group] in (0, total) for group, total in totals.items())
        off[fold] = empty + sum(
            abs(here[group] / total - validation_fraction) for group, total in totals.items()
        ) / (len(totals) + 1)
    chosen = min(off, key=lambda fold: (off[fold], fold))
    return {slide_id: "validation" if fold == chosen else "train" for slide_id, fold in fold_of.items()}


def _site_folds(
    slides: Sequence[SplitSlide], folds: int, seed: int, *, fewer: bool = False
) -> dict[str, int]:
    unit_of = site_units(slides)
    units = set(unit_of.values())
    if fewer:
        folds = max(2, min(folds, len(units)))
    of_patient = _by_patient(slides)
    fold_of = site_folds(
        {patient: unit_of[own[0].slide_id] for patient, own in of_patient.items()},
        {patient: _group(own) for patient, own in of_patient.items()},
        folds,
        {unit: _digest(seed, unit) for unit in units},
    )
    return {slide_id: fold_of[unit] for slide_id, unit in unit_of.items()}


def _by_patient(slides: Sequence[SplitSlide]) -> dict[str, list[SplitSlide]]:
    of_patient: dict[str, list[SplitSlide]] = defaultdict(list)
    for slide in slides:
        of_patient[slide.patient_id].append(slide)
    return of_patient


def _group(slides: Sequence[SplitSlide]) -> str:
    known = {slide.positive for slide in slides if slide.positive is not None}
    return "unknown" if not known else ("positive" if True in known else "negative")


def _share(
    group: str,
    patients: Sequence[str],
    of_patient: Mapping[str, Sequence[SplitSlide]],
    validation_fraction: float,
    seed: int,
) -> set[str]:
    """Validation patients of one group: evenly spaced in a list sorted by the other labels, random among equals."""
    if len(patients) < 2:
        return set()
    count = min(max(round(validation_fraction * len(patients)), 1), len(patients) - 1)

    ordered = sorted(patients, key=lambda patient: _order(patient, of_patient[patient], seed))
    offset = int(_digest(seed, group)[:8], 16) / 2**32
    return {ordered[int((index + offset) * len(ordered) / count)] for index in range(count)}


def _order(patient: str, slides: Sequence[SplitSlide], seed: int) -> tuple[tuple[str, ...], str]:
    """Patients with like labels stand together, in random order."""
    return tuple(sorted({label for slide in slides for label in slide.labels})), _digest(seed, patient)


def _digest(seed: int, text: str) -> str:
    # A hash per patient, not a shuffle: one more patient in the cohort leaves the order of the others as it was.
    return hashlib.sha256(f"{seed}\0{text}".encode()).hexdigest()

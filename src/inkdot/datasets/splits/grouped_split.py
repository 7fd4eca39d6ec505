"""Training, validation and test parts, and cross-validation folds, of whole patients or whole sites."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from inkdot.datasets.splits.site_split import site_folds, site_units
from inkdot.errors import LeakageError, ManifestError, UserError

Part = Literal["train", "validation", "test"]
"""``test`` slides are kept out of training altogether, for `inkdot evaluate`."""

PARTS: tuple[Part, ...] = get_args(Part)

GroupBy = Literal["patient", "site"]
"""What is never divided: a patient, or a site with all its patients."""


@dataclass(frozen=True, slots=True)
class SplitSlide:
    """What a split depends on.

    Attributes:
        slide_id: The slide.
        patient_id: Its patient; never empty (see :func:`patient_of`).
        positive: Whether it has the flag class; None where unknown.
        labels: Its labels of the other heads, which are stratified too.
        part: The part in the manifest's column ``split``; empty where there is none.
        site: Where it was made; empty where unknown.
    """

    slide_id: str
    patient_id: str
    positive: bool | None
    labels: tuple[str, ...] = ()
    part: str = ""
    site: str = ""


def patient_of(slide_id: str, patient_id: str) -> str:
    """The unit of every split: the patient, or the slide itself where the patient is unknown."""
    return patient_id or slide_id


def grouped_split(
    slides: Sequence[SplitSlide], validation_fraction: float, seed: int, group_by: GroupBy = "patient"
) -> dict[str, Part]:
    """Part of each slide, by slide_id.

    A column ``split`` is used as it is. Otherwise each stratum (positive, negative, unknown) gives its share of patients
    to validation, spread over the labels of the other heads, and at least one to either side where it has two. Whole
    sites are divided into folds of about the requested size, and the fold nearest to the requested share of each stratum
    is the validation set.

    Args:
        slides: All slides.
        validation_fraction: Share (0 to 1) of the patients for validation.
        seed: Same seed, same split, whatever the order of the slides.
        group_by: What stays on one side.

    Raises:
        ManifestError: The column ``split`` is filled for some slides only, or with an unknown word; or a slide has no
            site and ``group_by`` is ``site``.
        LeakageError: The column puts one patient, or one site where ``group_by`` is ``site``, into two parts.
        UserError: There is only one site and ``group_by`` is ``site``.
    """
    if any(slide.part for slide in slides):
        parts: dict[str, Part] = {slide.slide_id: _part_in_manifest(slide) for slide in slides}
        if group_by == "site":
            check_groups_apart(site_units(slides), parts, "site")
    elif group_by == "site":
        parts = _split_sites(slides, validation_fraction, seed)
    else:
        parts = _split_patients(slides, validation_fraction, seed)
    check_groups_apart({slide.slide_id: slide.patient_id for slide in slides}, parts, "patient")
    return parts


def grouped_folds(
    slides: Sequence[SplitSlide], folds: int, seed: int, group_by: GroupBy = "patient"
) -> dict[str, int]:
    """Fold of each slide, 0 to ``folds`` − 1, by slide_id.

    Patients are sorted by stratum (positive, negative, unknown) and by the labels of the other heads, then assigned to
    the folds in turn, so that every fold gets its share of each. Sites: see :func:`site_folds`.

    Raises:
        ValueError: Fewer than two folds.
        UserError: Fewer patients, or sites, than folds.
        ManifestError: A slide has no site and ``group_by`` is ``site``.
    """
    if folds < 2:
        raise ValueError(f"expected at least 2 folds, found {folds}")
    if group_by == "site":
        return _folds_of_sites(slides, folds, seed)
    of_patient = _by_patient(slides)
    if len(of_patient) < folds:
        raise UserError(
            f"expected at least {folds} patients for {folds} folds, found {len(of_patient)}; lower --folds"
        )
    ordered = sorted(
        of_patient,
        key=lambda patient: (_stratum(of_patient[patient]), _order(patient, of_patient[patient], seed)),
    )
    fold_of = {patient: index % folds for index, patient in enumerate(ordered)}
    return {slide.slide_id: fold_of[slide.patient_id] for slide in slides}


def check_groups_apart(groups: Mapping[str, str], parts: Mapping[str, str], group_by: GroupBy) -> None:
    """Check that no patient, or no site, is in two parts.

    Args:
        groups: Patient or site of each slide, by slide_id.
        parts: Part of each slide, by slide_id.
        group_by: What a group is, for the message.

    Raises:
        LeakageError: A group is in two parts; the message names up to five.
    """
    parts_of: dict[str, set[str]] = defaultdict(set)
    for slide_id, part in parts.items():
        parts_of[groups[slide_id]].add(part)
    leaking = sorted(group for group, own in parts_of.items() if len(own) > 1)
    if leaking:
        named = ", ".join(f"{group} ({' and '.join(sorted(parts_of[group]))})" for group in leaking[:5])
        more = f" and {len(leaking) - 5} more" if len(leaking) > 5 else ""
        raise LeakageError(
            f"expected each {group_by} in one part of the split, found {named}{more}; give all slides of a {group_by} the "
            "same split"
        )


def _part_in_manifest(slide: SplitSlide) -> Part:
    if slide.part not in PARTS:
        found = repr(slide.part) if slide.part else "nothing"
        raise ManifestError(
            f"slide {slide.slide_id!r}: column split: expected {', '.join(PARTS)} for every slide, found {found}; "
            "fill it, or leave the whole column out"
        )
    return slide.part


def _split_patients(slides: Sequence[SplitSlide], validation_fraction: float, seed: int) -> dict[str, Part]:
    of_patient = _by_patient(slides)
    strata: dict[str, list[str]] = defaultdict(list)
    for patient, own in of_patient.items():
        strata[_stratum(own)].append(patient)
    validation: set[str] = set()
    for stratum, patients in strata.items():
        validation |= _validation_patients(stratum, patients, of_patient, validation_fraction, seed)
    return {slide.slide_id: "validation" if slide.patient_id in validation else "train" for slide in slides}


def _split_sites(slides: Sequence[SplitSlide], validation_fraction: float, seed: int) -> dict[str, Part]:
    fold_of = _folds_of_sites(slides, max(2, round(1 / validation_fraction)), seed, allow_fewer=True)
    of_patient = _by_patient(slides)
    totals = Counter(_stratum(own) for own in of_patient.values())
    distance: dict[int, float] = {}
    for fold in sorted(set(fold_of.values())):
        here = Counter(_stratum(own) for own in of_patient.values() if fold_of[own[0].slide_id] == fold)
        # First of all both sides need every stratum; then the share should be near the requested one.
        one_sided = sum(here[stratum] in (0, total) for stratum, total in totals.items())
        distance[fold] = one_sided + sum(
            abs(here[stratum] / total - validation_fraction) for stratum, total in totals.items()
        ) / (len(totals) + 1)
    nearest = min(distance, key=lambda fold: (distance[fold], fold))
    return {slide_id: "validation" if fold == nearest else "train" for slide_id, fold in fold_of.items()}


def _folds_of_sites(
    slides: Sequence[SplitSlide], folds: int, seed: int, *, allow_fewer: bool = False
) -> dict[str, int]:
    unit_of = site_units(slides)
    units = set(unit_of.values())
    if allow_fewer:
        folds = max(2, min(folds, len(units)))
    of_patient = _by_patient(slides)
    fold_of = site_folds(
        {patient: unit_of[own[0].slide_id] for patient, own in of_patient.items()},
        {patient: _stratum(own) for patient, own in of_patient.items()},
        folds,
        {unit: _digest(seed, unit) for unit in units},
    )
    return {slide_id: fold_of[unit] for slide_id, unit in unit_of.items()}


def _by_patient(slides: Sequence[SplitSlide]) -> dict[str, list[SplitSlide]]:
    of_patient: dict[str, list[SplitSlide]] = defaultdict(list)
    for slide in slides:
        of_patient[slide.patient_id].append(slide)
    return of_patient


def _stratum(slides: Sequence[SplitSlide]) -> str:
    known = {slide.positive for slide in slides if slide.positive is not None}
    return "unknown" if not known else ("positive" if True in known else "negative")


def _validation_patients(
    stratum: str,
    patients: Sequence[str],
    of_patient: Mapping[str, Sequence[SplitSlide]],
    validation_fraction: float,
    seed: int,
) -> set[str]:
    """Patients of one stratum, evenly spaced in a list sorted by the other labels, random among equals."""
    if len(patients) < 2:
        return set()
    count = min(max(round(validation_fraction * len(patients)), 1), len(patients) - 1)
    ordered = sorted(patients, key=lambda patient: _order(patient, of_patient[patient], seed))
    offset = int(_digest(seed, stratum)[:8], 16) / 2**32
    return {ordered[int((index + offset) * len(ordered) / count)] for index in range(count)}


def _order(patient: str, slides: Sequence[SplitSlide], seed: int) -> tuple[tuple[str, ...], str]:
    """Sort key: patients with the same labels are neighbours, in random order."""
    return tuple(sorted({label for slide in slides for label in slide.labels})), _digest(seed, patient)


def _digest(seed: int, text: str) -> str:
    # A hash per patient, not a shuffle: one more patient in the cohort leaves the order of the others as it was.
    return hashlib.sha256(f"{seed}\0{text}".encode()).hexdigest()

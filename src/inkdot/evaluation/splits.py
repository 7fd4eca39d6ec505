"""Which slides train and which validate: whole patients, always."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from inkdot.errors import LeakageError, ManifestError, UserError

Part = Literal["train", "validation", "test"]
"""``test`` slides are kept out of training altogether, for `inkdot evaluate`."""

PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True, slots=True)
class SplitSlide:
    """What a split needs to know of a slide.

    Attributes:
        slide_id: The slide.
        patient_id: Its patient; never empty (see :func:`patient_of`).
        positive: The flagging question's answer, or None where unknown.
        answers: Words for the answers to the other questions, to share them out evenly.
        wanted: The part that the manifest's column ``split`` asks for; empty where it has none.
    """

    slide_id: str
    patient_id: str
    positive: bool | None
    answers: tuple[str, ...] = ()
    wanted: str = ""


def patient_of(slide_id: str, patient_id: str) -> str:
    """The unit of every split: the patient, or the slide itself where the patient is unknown."""
    return patient_id or slide_id


def split_slides(slides: Sequence[SplitSlide], validation_fraction: float, seed: int) -> dict[str, Part]:
    """Part of each slide, by slide_id.

    A column ``split`` is taken as it is. Otherwise each group of patients (positive, negative, unknown) gives its share of
    patients to validation, spread over the answers to the other questions, and at least one to either side where it
    has two.

    Args:
        slides: All slides.
        validation_fraction: Share (0 to 1) of the patients for validation.
        seed: Same seed, same split, whatever the order of the slides.

    Raises:
        ManifestError: The column ``split`` is filled for some slides only, or with an unknown word.
        LeakageError: The column puts one patient into two parts.
    """
    if any(slide.wanted for slide in slides):
        parts: dict[str, Part] = {slide.slide_id: _wanted_part(slide) for slide in slides}
    else:
        parts = _draw(slides, validation_fraction, seed)
    check_patients_apart({slide.slide_id: slide.patient_id for slide in slides}, parts)
    return parts


def deal_folds(slides: Sequence[SplitSlide], folds: int, seed: int) -> dict[str, int]:
    """Fold of each slide, 0 to ``folds`` − 1, by slide_id: whole patients, dealt out like cards.

    Patients are sorted by group (positive, negative, unknown) and by the answers to the other questions before
    they are dealt, so that every fold gets its share of each.

    Raises:
        ValueError: Fewer than two folds.
        UserError: Fewer patients than folds.
    """
    if folds < 2:
        raise ValueError(f"expected at least 2 folds, found {folds}")
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
    found: dict[str, set[str]] = defaultdict(set)
    for slide_id, part in parts.items():
        found[patients[slide_id]].add(part)
    leaking = sorted(patient for patient, its_parts in found.items() if len(its_parts) > 1)
    if leaking:
        named = ", ".join(f"{patient} ({' and '.join(sorted(found[patient]))})" for patient in leaking[:5])
        more = f" and {len(leaking) - 5} more" if len(leaking) > 5 else ""
        raise LeakageError(
            f"expected each patient in one part of the split, found {named}{more}; give all slides of a patient the same split"
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
    """Validation patients of one group: evenly spaced in a list sorted by the other answers, random among equals."""
    if len(patients) < 2:
        return set()
    count = min(max(round(validation_fraction * len(patients)), 1), len(patients) - 1)

    ordered = sorted(patients, key=lambda patient: _order(patient, of_patient[patient], seed))
    offset = int(_digest(seed, group)[:8], 16) / 2**32
    return {ordered[int((index + offset) * len(ordered) / count)] for index in range(count)}


def _order(patient: str, slides: Sequence[SplitSlide], seed: int) -> tuple[tuple[str, ...], str]:
    """Patients with like answers stand together, in random order."""
    return tuple(sorted({answer for slide in slides for answer in slide.answers})), _digest(seed, patient)


def _digest(seed: int, text: str) -> str:
    # A hash per patient, not a shuffle: one more patient in the cohort leaves the order of the others as it was.
    return hashlib.sha256(f"{seed}\0{text}".encode()).hexdigest()

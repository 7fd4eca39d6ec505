"""Sensitivity, specificity, AUC, time and agreement of a reader study in both arms, each with its interval."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inkdot.metrics.agreement import cohen_estimate, fleiss_estimate
from inkdot.metrics.intervals.confidence_intervals import Estimate, clopper_pearson
from inkdot.metrics.reader_comparison import ArmComparison, compare_auc, compare_means, compare_shares
from inkdot.review.study.design import ARMS
from inkdot.review.study.readings import CaseReading

_EXACT = "Clopper-Pearson, this reader's cases"
_LABELS = 4


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric in both arms.

    Attributes:
        metric: Its name.
        result: The comparison; None where too few cases or readings allow none.
    """

    metric: str
    result: ArmComparison | None


@dataclass(frozen=True, slots=True)
class ReaderRow:
    """One reader in one arm.

    Attributes:
        reader: Pseudonym of the reader.
        arm: What was shown.
        sensitivity: Over the positive cases that this reader rated; None without any.
        specificity: Over the negative ones.
        rated: Cases rated.
    """

    reader: str
    arm: str
    sensitivity: Estimate | None
    specificity: Estimate | None
    rated: int


@dataclass(frozen=True, slots=True)
class StudyResult:
    """The results of a study.

    Attributes:
        comparisons: Sensitivity, specificity, AUC and seconds per case: both arms and the difference.
        readers: Every reader in both arms.
        agreement: Per arm, kappa of the readers' ratings; None where it is undefined.
        cases: Cases with truth that every reader rated in both arms; the comparisons rest on them.
        left_out: Cases with truth that a reader did not rate in an arm.
        without_truth: Cases without truth.
    """

    comparisons: tuple[Comparison, ...]
    readers: tuple[ReaderRow, ...]
    agreement: Mapping[str, Estimate | None]
    cases: int
    left_out: int
    without_truth: int


def analyse(
    readings: Sequence[CaseReading],
    truth: Mapping[str, bool],
    patients: Mapping[str, str],
    positive_from: float,
) -> StudyResult:
    """Compare the arms on the cases that every reader rated in both.

    Args:
        readings: All readings.
        truth: Whether each case is positive.
        patients: Patient of each case; a case without one is a patient of its own.
        positive_from: Rating from which a reading counts as positive.
    """
    readers = sorted({one.reader for one in readings})
    slides = sorted({one.slide_id for one in readings})
    known = [slide for slide in slides if slide in truth]
    ratings = _array(readings, readers, known, [one.rating for one in readings])
    whole = _complete(ratings)
    cases = [known[index] for index in whole]
    rated, is_positive = ratings[:, :, whole], np.asarray([truth[case] for case in cases], dtype=np.bool_)
    owners = _owners(cases, patients)
    called = rated >= positive_from
    seconds = _array(readings, readers, known, [one.seconds for one in readings])
    timed = _complete(seconds)
    timed_owners = _owners([known[index] for index in timed], patients)
    negative = ~is_positive
    comparisons = (
        Comparison("sensitivity", _shares(called[:, :, is_positive], owners[is_positive])),
        Comparison("specificity", _shares(~called[:, :, negative], owners[negative])),
        Comparison("AUC of ratings", _auc(is_positive, rated, owners)),
        Comparison("seconds per case", _means(seconds[:, :, timed], timed_owners)),
    )
    return StudyResult(
        comparisons=comparisons,
        readers=tuple(_reader_rows(readings, truth, positive_from)),
        agreement={arm: _agreement(rated[index], owners) for index, arm in enumerate(ARMS)},
        cases=len(cases),
        left_out=len(known) - len(cases),
        without_truth=len(slides) - len(known),
    )


def _complete(values: npt.NDArray[np.float64]) -> list[int]:
    """The cases without a gap, by number."""
    missing = np.isnan(values).any(axis=1).any(axis=0)
    return np.flatnonzero(np.logical_not(missing)).tolist()


def _owners(cases: Sequence[str], patients: Mapping[str, str]) -> npt.NDArray[np.str_]:
    return np.asarray([patients.get(case) or f"slide {case}" for case in cases], dtype=np.str_)


def _array(
    readings: Sequence[CaseReading],
    readers: Sequence[str],
    slides: Sequence[str],
    values: Sequence[float | None],
) -> npt.NDArray[np.float64]:
    """Values by arm, reader and case, shape [2, readers, cases]; NaN where there is none."""
    found = np.full((len(ARMS), len(readers), len(slides)), math.nan)
    column = {slide: index for index, slide in enumerate(slides)}
    row = {reader: index for index, reader in enumerate(readers)}
    for one, value in zip(readings, values, strict=True):
        if value is not None and one.slide_id in column:
            found[ARMS.index(one.arm), row[one.reader], column[one.slide_id]] = value
    return found


def _shares(correct: npt.NDArray[np.bool_], owners: npt.NDArray[np.str_]) -> ArmComparison | None:
    return compare_shares(correct, owners) if len(np.unique(owners)) > 1 else None


def _means(values: npt.NDArray[np.float64], owners: npt.NDArray[np.str_]) -> ArmComparison | None:
    return compare_means(values, owners) if len(np.unique(owners)) > 1 else None


def _auc(
    truth: npt.NDArray[np.bool_], ratings: npt.NDArray[np.float64], owners: npt.NDArray[np.str_]
) -> ArmComparison | None:
    try:
        return compare_auc(truth, ratings, owners)
    except ValueError:
        return None


def _agreement(ratings: npt.NDArray[np.float64], owners: npt.NDArray[np.str_]) -> Estimate | None:
    """Cohen's kappa of two readers, Fleiss' of more; ratings between two categories count as the lower."""
    labels = ratings.astype(np.int64) - 1
    if len(labels) < 2 or not labels.size:
        return None
    if len(labels) == 2:
        return cohen_estimate(labels[0], labels[1], _LABELS, owners)
    counts = np.stack([(labels == label).sum(axis=0) for label in range(_LABELS)], axis=1)
    return fleiss_estimate(counts.astype(np.int64), owners)


def _reader_rows(
    readings: Sequence[CaseReading], truth: Mapping[str, bool], positive_from: float
) -> list[ReaderRow]:
    rows: list[ReaderRow] = []
    for reader in sorted({one.reader for one in readings}):
        for arm in ARMS:
            own = [
                (truth[one.slide_id], one.rating >= positive_from)
                for one in readings
                if one.reader == reader
                and one.arm == arm
                and one.rating is not None
                and one.slide_id in truth
            ]
            hits = [called for positive, called in own if positive]
            passes = [not called for positive, called in own if not positive]
            rows.append(ReaderRow(reader, arm, _exact(hits), _exact(passes), len(own)))
    return rows


def _exact(right: Sequence[bool]) -> Estimate | None:
    if not right:
        return None
    return Estimate(sum(right) / len(right), *clopper_pearson(sum(right), len(right)), _EXACT)

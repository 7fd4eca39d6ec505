"""Readings as tables that the R packages iMRMC and MRMCaov read, and as tables for people."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from inkdot.review.study.readings import AnswerTime, CaseReading
from inkdot.review.verdicts.csv_cells import safe_cell

IMRMC_COLUMNS = ("readerID", "caseID", "modalityID", "score")
MRMCAOV_COLUMNS = ("reader", "treatment", "case", "truth", "rating")


def imrmc_table(readings: Iterable[CaseReading], truth: Mapping[str, bool]) -> str:
    """The form of iMRMC: truth rows of reader and modality ``truth`` (0 or 1), then a row per reading.

    Args:
        readings: Those without a rating are left out, as are cases without truth.
        truth: Whether each case is positive.
    """
    rated = [one for one in readings if one.rating is not None and one.slide_id in truth]
    cases = sorted({one.slide_id for one in rated})
    rows: list[tuple[object, ...]] = [("truth", case, "truth", int(truth[case])) for case in cases]
    rows += [(one.reader, one.slide_id, one.arm, one.rating) for one in rated]
    return _table(IMRMC_COLUMNS, rows)


def mrmcaov_table(readings: Iterable[CaseReading], truth: Mapping[str, bool]) -> str:
    """The form of ``MRMCaov::mrmc``: one row per reading, truth 1 for positive.

    Args:
        readings: As of :func:`imrmc_table`.
        truth: As there.
    """
    rows = [
        (one.reader, one.arm, one.slide_id, int(truth[one.slide_id]), one.rating)
        for one in readings
        if one.rating is not None and one.slide_id in truth
    ]
    return _table(MRMCAOV_COLUMNS, rows)


def readings_table(readings: Iterable[CaseReading]) -> str:
    """Every reading, those without a rating too."""
    columns = ("reader", "arm", "slide_id", "rating", "source", "seconds")
    return _table(
        columns,
        [
            (one.reader, one.arm, one.slide_id, one.rating, one.source, _seconds(one.seconds))
            for one in readings
        ],
    )


def times_table(times: Iterable[AnswerTime]) -> str:
    """Every answer with the time since the one before."""
    columns = ("reader", "arm", "slide_id", "kind", "place", "time", "seconds")
    return _table(
        columns,
        [
            (one.reader, one.arm, one.slide_id, one.kind, one.place, one.time, _seconds(one.seconds))
            for one in times
        ],
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if cell is None else safe_cell(str(cell)) for cell in row])
    return buffer.getvalue()

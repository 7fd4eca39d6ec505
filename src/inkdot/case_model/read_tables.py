"""Reads the cases of a case-level model: ``cases.csv``, joined with results of their slides."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from inkdot.case_model.case_table import Block, CaseTable
from inkdot.case_model.slide_columns import SLIDE_COLUMNS, SLIDE_SCORE, SlideFacts, read_slide_facts
from inkdot.cases.case_record import Case
from inkdot.cases.columns import CHOICE_COLUMNS, NUMBER_COLUMNS
from inkdot.cases.join_slides import cases_of_slides
from inkdot.cases.read_cases import read_cases
from inkdot.errors import ManifestError, UserError
from inkdot.labels import flagging_head
from inkdot.manifest.csv_table import csv_rows, read_text
from inkdot.metrics.classification import BoolArray, FloatArray
from inkdot.metrics.slides.slide_level import NameArray
from inkdot.storage.layout import RunLayout
from inkdot.storage.tables.scores import read_scores

GLUCOSE_RATIO: Final = "glucose_ratio"
"""CSF over serum glucose."""

SIGNED: Final = "signed_category"

_REFERENCE: Final = (SIGNED, "leptomeningeal_biopsy")
"""Part of the reference standard: a model that uses them predicts what was already read."""

_CHOICES: Final = tuple(name for name in CHOICE_COLUMNS if name not in _REFERENCE)
_NUMBERS: Final = (*(own.name for own in NUMBER_COLUMNS), GLUCOSE_RATIO)
_NOT_DONE: Final = "not_done"
_WORDS: Final = {"positive": True, "negative": False}
_CATEGORIES: Final = {"malignant": True, "negative": False}


@dataclass(frozen=True, slots=True)
class CaseInputs:
    """Where the cases come from.

    Attributes:
        cases: ``cases.csv``.
        columns: Columns of it that the model may use.
        slide_columns: Columns of :data:`~inkdot.case_model.slide_columns.SLIDE_COLUMNS`, or numbers of free columns of ``cases``.
        results: Results of ``predict`` for the slides; None where free columns hold all that is known of them.
        slides: Slide table; None for that of the results.
        out_of_fold: Run folder of ``train --folds`` whose scores replace those of the results.
        truth: Column of ``cases`` with ``positive`` or ``negative``, or ``signed_category``; empty for the labels of the slides.
        of_model: The columns are those of a stored model, which no option names.
    """

    cases: Path
    columns: Sequence[str]
    slide_columns: Sequence[str]
    results: Path | None = None
    slides: Path | None = None
    out_of_fold: Path | None = None
    truth: str = ""
    of_model: bool = False


@dataclass(slots=True)
class _Columns:
    numbers: dict[str, FloatArray] = field(default_factory=dict[str, FloatArray])
    categories: dict[str, NameArray] = field(default_factory=dict[str, NameArray])
    blocks: dict[str, Block] = field(default_factory=dict[str, Block])


def read_case_table(
    inputs: CaseInputs, *, categories: Sequence[str] | None = None, with_truth: bool = True
) -> tuple[CaseTable, list[str]]:
    """Read the cases.

    Args:
        inputs: Where from.
        categories: Free columns that are categories; None takes those that hold words.
        with_truth: Leave out cases without a truth; otherwise all cases are read and none has one.

    Returns:
        The cases, and a line on each kind of case that is left out.

    Raises:
        UserError: A table is wrong, a column is unknown, or no case is left.
    """
    cases = read_cases(inputs.cases)
    if not cases:
        raise ManifestError(f"{inputs.cases}: expected cases, found none; add rows")
    _require_known(inputs, cases)
    facts, of_case = _facts(inputs, cases)
    found = _Columns()
    for name in inputs.slide_columns:
        found.blocks[name] = "image"
        if name in SLIDE_COLUMNS and facts is not None:
            found.numbers[name] = np.array(
                [_of_slides(facts, of_case.get(row, []), name) for row in range(len(cases))]
            )
        else:
            found.numbers[name] = _number_column(cases, name)
    for name in inputs.columns:
        found.blocks[name] = "case"
        if name in _NUMBERS:
            found.numbers[name] = _number_column(cases, name)
        elif name in CHOICE_COLUMNS or _is_category(cases, name, categories):
            found.categories[name] = np.array([_word(case, name) for case in cases], np.str_)
        else:
            found.numbers[name] = _number_column(cases, name)
    table = CaseTable(
        ids=np.array([_name(case) for case in cases], np.str_),
        patients=np.array([case.patient_id for case in cases], np.str_),
        truth=None,
        numbers=found.numbers,
        categories=found.categories,
        blocks=found.blocks,
        synthetic=facts is not None and facts.synthetic,
    )
    return _with_truth(table, cases, inputs, facts, of_case) if with_truth else (table, [])


def _require_known(inputs: CaseInputs, cases: Sequence[Case]) -> None:
    """Refuse columns that are unknown, named twice, or part of the reference standard."""
    free = set(cases[0].extra)
    header = set(csv_rows(inputs.cases, read_text(inputs.cases))[0])
    own = {name for name in (*_NUMBERS, *_CHOICES) if name in header}
    own |= {GLUCOSE_RATIO} if {"csf_glucose_mmol_per_l", "serum_glucose_mmol_per_l"} <= header else set()
    for option, names, known in (
        ("--columns", inputs.columns, {*own, *free}),
        ("--slide-columns", inputs.slide_columns, {*(SLIDE_COLUMNS if inputs.results else ()), *free}),
    ):
        if not names:
            raise UserError(
                f"{option}: expected at least one column, found none; name one of {', '.join(sorted(known))}"
            )
        for name in names:
            if name in (*_REFERENCE, inputs.truth):
                raise UserError(
                    f"{option}: expected columns that are not part of the truth, found {name}; leave it out"
                )
            if name not in known and inputs.of_model:
                raise UserError(
                    f"{inputs.cases}: expected the column {name} of the model, found none"
                    + (
                        "; give --results"
                        if name in SLIDE_COLUMNS
                        else "; add it, blank where it is not known"
                    )
                )
            if name not in known:
                hint = (
                    "; it needs --results"
                    if name in SLIDE_COLUMNS and inputs.results is None
                    else "; correct it"
                )
                listed = ", ".join(sorted(known)) or "the columns of cases.csv"
                raise UserError(f"{option}: expected columns among {listed}, found {name!r}{hint}")
    names = [*inputs.columns, *inputs.slide_columns]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(
            f"--columns, --slide-columns: expected each column once, found {twice[0]} twice; remove one"
        )
    if inputs.truth and inputs.truth != SIGNED and inputs.truth not in free:
        raise UserError(
            f"--truth: expected {SIGNED} or a free column of {inputs.cases} with positive or negative, found {inputs.truth!r}; "
            "correct it"
        )


def _facts(inputs: CaseInputs, cases: Sequence[Case]) -> tuple[SlideFacts | None, Mapping[int, list[str]]]:
    """What results say of the slides, and the slides of each case by its row."""
    if inputs.results is None:
        return None, {}
    facts = read_slide_facts(
        inputs.results, inputs.slide_columns, slides=inputs.slides, out_of_fold=inputs.out_of_fold
    )
    row_of = {id(case): row for row, case in enumerate(cases)}
    slides: defaultdict[int, list[str]] = defaultdict(list)
    for slide_id, case in cases_of_slides(cases, facts.entries).items():
        slides[row_of[id(case)]].append(slide_id)
    if not slides:
        raise UserError(
            f"{inputs.cases}: expected cases of the slides in {inputs.results}, found none with their patient_id; "
            "correct patient_id (and specimen_id), or give --slides"
        )
    return facts, slides


def _of_slides(facts: SlideFacts, slide_ids: Sequence[str], column: str) -> float:
    """A column of the slide of the highest score; of the first one where none has a score."""
    if not slide_ids:
        return np.nan
    ordered = sorted(slide_ids)
    scores = [facts.values[slide_id][SLIDE_SCORE] for slide_id in ordered]
    best = 0 if np.isnan(scores).all() else int(np.nanargmax(scores))
    return facts.values[ordered[best]][column]


def _number_column(cases: Sequence[Case], name: str) -> FloatArray:
    return np.array([_number(case, name) for case in cases], np.float64)


def _number(case: Case, name: str) -> float:
    try:
        value = case.glucose_ratio if name == GLUCOSE_RATIO else case.number(name)
    except ValueError:
        value = np.inf
    if value is not None and not np.isfinite(value):
        raise ManifestError(
            f"{case.where}: column {name}: expected a number or blank, found {case.extra.get(name, '')[:60]!r}; correct it, or "
            "write words in all rows for a category"
        )
    return np.nan if value is None else value


def _is_category(cases: Sequence[Case], name: str, categories: Sequence[str] | None) -> bool:
    """Whether a free column holds words. Where some cells are numbers and others words, the words are reported as wrong."""
    if categories is not None:
        return name in categories
    texts = [text for case in cases if (text := case.extra.get(name, ""))]
    return bool(texts) and not any(_is_number(text) for text in texts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _word(case: Case, name: str) -> str:
    word = (getattr(case, name) if name in CHOICE_COLUMNS else case.extra.get(name, "")) or ""
    return "" if word == _NOT_DONE else word


def _name(case: Case) -> str:
    return f"{case.patient_id}/{case.specimen_id}" if case.specimen_id else case.patient_id


def _with_truth(
    table: CaseTable,
    cases: Sequence[Case],
    inputs: CaseInputs,
    facts: SlideFacts | None,
    of_case: Mapping[int, list[str]],
) -> tuple[CaseTable, list[str]]:
    truth = (
        [_stated_truth(case, inputs.truth) for case in cases]
        if inputs.truth
        else _slide_truth(len(cases), inputs, facts, of_case)
    )
    known: BoolArray = np.array([own is not None for own in truth])
    # As in prediction: what stands for a missing score would be counted as what the slide says.
    no_slide: BoolArray = np.all([table.missing(name) for name in inputs.slide_columns], axis=0)
    kept = np.flatnonzero(known & ~no_slide)
    positive = np.array([truth[row] is True for row in kept], np.bool_)
    notes = [
        f"{count} of {len(cases)} cases {why}, left out."
        for count, why in (
            (int((~known).sum()), "have no truth"),
            (
                int((known & no_slide).sum()),
                "have a truth and no value of a slide (none, failed or inadequate)",
            ),
        )
        if count
    ]
    if positive.all() or not positive.any():
        raise UserError(
            f"{inputs.cases}: expected cases of both classes, found {int(positive.sum())} positive and {int((~positive).sum())} "
            "negative ones with a truth and a slide; add labels, or name --truth"
        )
    whole = table.of(kept)
    return CaseTable(
        whole.ids, whole.patients, positive, whole.numbers, whole.categories, whole.blocks, whole.synthetic
    ), notes


def _stated_truth(case: Case, column: str) -> bool | None:
    if column == SIGNED:
        return None if case.signed_category is None else _CATEGORIES.get(case.signed_category.category)
    word = case.extra[column]
    if word and word not in _WORDS:
        raise ManifestError(
            f"{case.where}: column {column}: expected positive, negative or blank, found {word[:60]!r}; correct it"
        )
    return _WORDS.get(word)


def _slide_truth(
    count: int, inputs: CaseInputs, facts: SlideFacts | None, of_case: Mapping[int, list[str]]
) -> list[bool | None]:
    """Positive where the patient or a slide has the flag class, negative where all known labels have not."""
    if facts is None or inputs.results is None:
        raise UserError(
            "--truth: expected a column, found none, and no --results whose slides have labels; name one"
        )
    head = flagging_head(read_scores(RunLayout(inputs.results).scores(facts.entries[0].slide_id)).heads)
    positive: dict[str, bool | None] = {}
    for entry in facts.entries:
        label = entry.of_patient.get(head.name, entry.on_slide.get(head.name))
        positive[entry.slide_id] = head.is_positive(label)
    found: list[bool | None] = []
    for row in range(count):
        known = [own for slide_id in of_case.get(row, []) if (own := positive[slide_id]) is not None]
        found.append(any(known) if known else None)
    return found

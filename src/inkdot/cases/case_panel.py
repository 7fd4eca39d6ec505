"""The case as plain rows for people: value, range, what it cannot exclude, and where that stands."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from inkdot.cases.case_record import Case, IhcResult
from inkdot.cases.columns import CHOICE_COLUMNS, NUMBER_COLUMNS
from inkdot.cases.counts import CPS_SOURCE, combined_positive_score
from inkdot.cases.evidence import EvidenceRules, evidence_of
from inkdot.cases.ihc_panel import KNOWN_MARKERS
from inkdot.cases.reference_ranges import GLUCOSE_RATIO, ReferenceRanges, default_reference_ranges

_CHOICE_LABELS: Final = {
    "puncture_site": "Puncture site",
    "mri": "MRI",
    "typical_signs": "Typical clinical signs",
    "cancer_history": "Known cancer",
    "leptomeningeal_biopsy": "Leptomeningeal biopsy",
}
_COUNTS: Final = frozenset(
    {"pdl1_stained_tumour_cells", "pdl1_stained_immune_cells", "pdl1_viable_tumour_cells"}
)

_CONFIRMED_ELSEWHERE: Final = (
    "another row of this patient is confirmed; the level here is that of this row alone"
)


@dataclass(frozen=True, slots=True)
class PanelRow:
    """One row, all plain text from a table of the user: insert it as text, never as markup. Empty means nothing.

    Attributes:
        label: What the value is, such as ``CSF protein``.
        value: The value with its unit, such as ``0.75 g/L``.
        range: Reference range, such as ``< 0.5``.
        note: What to know: outside the range, what it cannot exclude, or a warning.
        source: Where range and note stand.
        warning: Whether the value is outside its range or the specimen is not as advised.
    """

    label: str
    value: str
    range: str = ""
    note: str = ""
    source: str = ""
    warning: bool = False


def case_panel(
    case: Case,
    ranges: ReferenceRanges | None = None,
    *,
    rules: EvidenceRules | None = None,
    free_text: bool = True,
    of_patient: Sequence[Case] = (),
) -> tuple[PanelRow, ...]:
    """The rows of a case, for gallery, server and report; what is unknown has no row.

    Args:
        case: The row of ``cases.csv``.
        ranges: Ranges and notes; the published ones that come with Inkdot where None.
        rules: Rules of the evidence level; those that come with Inkdot where None.
        free_text: False leaves out what may name a person: text that was typed freely, and names of unknown markers. For
            pseudonymous output. Blinded output has no panel at all.
        of_patient: All rows of the table, or those of the patient: where another specimen of the patient is confirmed, the
            evidence level says so.
    """
    known = ranges or default_reference_ranges()
    rows = [
        *_number_rows(case, known),
        *_choice_rows(case, known),
        *_text_rows(case, free_text=free_text),
        *_stain_rows(case, known, free_text=free_text),
        *_count_rows(case),
    ]
    signed = case.signed_category
    if signed is not None:
        notes = [
            note for note in known.choices if (note.column, note.word) == ("signed_category", signed.category)
        ]
        by = f", signed by {signed.signed_by}" if free_text else ", signed"
        rows.append(
            PanelRow(
                "Cytology",
                signed.category + by,
                note="; ".join(note.text for note in notes),
                source=_sources(note.source for note in notes),
            )
        )
    evidence = evidence_of(case, rules)
    if evidence.level is not None or signed is not None:
        reasons = [*evidence.reasons, *(f"{name} is needed" for name in evidence.missing)]
        elsewhere = evidence.level != "confirmed" and any(
            evidence_of(other, rules).level == "confirmed"
            for other in of_patient
            if other.patient_id == case.patient_id
        )
        if elsewhere:
            reasons.append(_CONFIRMED_ELSEWHERE)
        rows.append(
            PanelRow(
                "Evidence level (EANO-ESMO)",
                evidence.words,
                note="; ".join(reasons),
                source=evidence.source,
                warning=elsewhere,
            )
        )
    return tuple(rows)


def _number_rows(case: Case, known: ReferenceRanges) -> Iterator[PanelRow]:
    for column in NUMBER_COLUMNS:
        value = case.number(column.name)
        if value is None or column.name in _COUNTS:
            continue
        yield _number_row(column.name, column.label, f"{value:g} {column.unit}".strip(), value, known)
        if column.name == "serum_glucose_mmol_per_l" and case.glucose_ratio is not None:
            ratio = case.glucose_ratio
            yield _number_row(GLUCOSE_RATIO, "CSF/serum glucose", f"{ratio:.2f}", ratio, known)


def _number_row(name: str, label: str, shown: str, value: float, known: ReferenceRanges) -> PanelRow:
    limits = next((entry for entry in known.ranges if entry.column == name), None)
    notes = [note for note in known.values if note.column == name and note.applies(value)]
    # Of two limits that a value is below, the sharper one says more.
    lowest = min((note.below for note in notes if note.below is not None), default=None)
    notes = [note for note in notes if note.below is None or note.below == lowest]
    side = limits.side(value) if limits else ""
    texts = [f"{side} the range"] if side else []
    if limits and limits.note:
        texts.append(limits.note)
    texts += [note.text for note in notes]
    return PanelRow(
        label,
        shown,
        limits.words if limits else "",
        "; ".join(texts),
        _sources([*([limits.source] if limits else []), *(note.source for note in notes)]),
        warning=bool(side) or any(note.below is not None or note.above is not None for note in notes),
    )


def _choice_rows(case: Case, known: ReferenceRanges) -> Iterator[PanelRow]:
    for column, label in _CHOICE_LABELS.items():
        word = getattr(case, column)
        if word not in CHOICE_COLUMNS[column]:
            continue
        notes = [note for note in known.choices if (note.column, note.word) == (column, word)]
        yield PanelRow(
            label,
            str(word).replace("_", " "),
            note="; ".join(note.text for note in notes),
            source=_sources(note.source for note in notes),
        )
    if case.treatment:
        yield PanelRow("Earlier treatment", ", ".join(case.treatment))


def _text_rows(case: Case, *, free_text: bool) -> Iterator[PanelRow]:
    if case.primary_tumour and free_text:
        yield PanelRow("Known tumour", case.primary_tumour)


def _stain_rows(case: Case, known: ReferenceRanges, *, free_text: bool) -> Iterator[PanelRow]:
    where = f" ({case.ihc_specimen.replace('_', ' ')})" if case.ihc_specimen else ""
    for result in case.ihc.values():
        if free_text or result.marker in KNOWN_MARKERS:
            yield _stain_row(result, where, known)


def _stain_row(result: IhcResult, where: str, known: ReferenceRanges) -> PanelRow:
    notes = [note for note in known.stains if (note.marker, note.stain) == (result.marker, result.stain)]
    note = "; ".join(note.text for note in notes)
    if result.marker == "Ki-67" and result.percent is not None:
        note = "as entered by a person; nothing is counted here"
    return PanelRow(
        f"{result.marker}{where}", result.words, note=note, source=_sources(note.source for note in notes)
    )


def _count_rows(case: Case) -> Iterator[PanelRow]:
    stained, immune = case.pdl1_stained_tumour_cells, case.pdl1_stained_immune_cells
    viable = case.pdl1_viable_tumour_cells
    if stained is None or immune is None or viable is None:
        return
    score = combined_positive_score(stained, immune, viable)
    counted = f"({stained:g} + {immune:g}) / {viable:g} × 100, counted by a person"
    yield PanelRow(
        "PD-L1 CPS",
        f"{score.value:.3g}",
        note=counted + ("; at most 100" if score.capped else ""),
        source=CPS_SOURCE,
    )


def _sources(sources: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(source for source in sources if source))

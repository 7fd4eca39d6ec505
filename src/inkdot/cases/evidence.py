"""Level of evidence for leptomeningeal metastasis after EANO-ESMO, from what persons entered and signed.

No output of a model can enter: cytology is a :class:`SignedCategory`, which only the reader of ``cases.csv`` makes, and there is
no parameter for a score. The rules are a YAML file with their sources; letters and grid are used only once a person has compared
them with the publication.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, field_validator, model_validator

from inkdot.cases.case_record import Case, SignedCategory
from inkdot.cases.columns import Biopsy, Category, MriFinding
from inkdot.config.strict import Strict
from inkdot.config.strict_yaml import read_model

EvidenceLevel = Literal["confirmed", "probable", "possible", "lack of evidence"]
Cytology = Literal["positive", "equivocal", "negative"]
"""The three results of cytology in EANO-ESMO 2023, table 1 (PMC10619142)."""

CYTOLOGY_OF: Final[Mapping[Category, Cytology | None]] = {
    "malignant": "positive",
    "suspicious": "equivocal",
    "atypical": "equivocal",
    "negative": "negative",
    "nondiagnostic": None,
}
"""Result of cytology by signed category; a nondiagnostic specimen is no negative one, and has none."""

_TYPES: Final = ("IA", "IB", "IC", "ID", "IIA", "IIB", "IIC", "IID")
_WORDS_OF_TEMPLATE: Final = frozenset({"name of a person", "publication and table"})
_NO_FINDING: Final[tuple[MriFinding, ...]] = ("normal", "equivocal")
_Text = Annotated[str, Field(min_length=1, max_length=500)]


class SourcedStatement(Strict):
    """A statement and where it stands."""

    statement: _Text
    source: _Text


class CheckedBy(Strict):
    """A person's word that the grid is that of the publication."""

    by: _Text
    date: _Text
    against: _Text

    @field_validator("date", mode="before")
    @classmethod
    def _as_text(cls, date: object) -> object:
        # YAML reads a date without quotes as a date.
        return date.isoformat() if type(date) is datetime.date else date

    @model_validator(mode="after")
    def _a_person_filled_it_in(self) -> "CheckedBy":
        try:
            date = datetime.date.fromisoformat(self.date)
        except ValueError:
            raise ValueError(f"date: expected YYYY-MM-DD, found {self.date!r}") from None
        tomorrow = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=1)  # in any time zone
        if date > tomorrow:
            raise ValueError(f"date: expected a day that has been, found {self.date}")
        for name, text in (("by", self.by), ("against", self.against)):
            if not text.strip():
                raise ValueError(f"{name}: expected who compared the grid with what, found nothing")
            if text.strip() in _WORDS_OF_TEMPLATE:
                raise ValueError(
                    f"{name}: expected who compared the grid with what, found the words of the template"
                )
        return self


class EvidenceRules(Strict):
    """The rules: a file of the format ``inkdot.evidence-rules/1``.

    Attributes:
        format: Name and version of the format.
        name: What the rules are.
        sources: What the level rests on.
        typical_imaging: MRI findings that count as typical imaging.
        letters: Letter of each MRI finding, A to D.
        grid: By type, the level with and without typical signs.
        checked: Who compared letters and grid with the publication; None leaves both off.
    """

    format: Literal["inkdot.evidence-rules/1"]
    name: _Text
    sources: Annotated[list[SourcedStatement], Field(min_length=1)]
    typical_imaging: Annotated[list[MriFinding], Field(min_length=1)]
    letters: dict[MriFinding, Literal["A", "B", "C", "D"]]
    grid: dict[str, Annotated[list[EvidenceLevel], Field(min_length=2, max_length=2)]]
    checked: CheckedBy | None = None

    @model_validator(mode="after")
    def _whole(self) -> "EvidenceRules":
        if tuple(sorted(self.grid)) != tuple(sorted(_TYPES)):
            raise ValueError(f"grid: expected {', '.join(_TYPES)}, found {', '.join(self.grid) or 'nothing'}")
        if missing := set(get_args(MriFinding)) - {"not_done"} - set(self.letters):
            raise ValueError(f"letters: expected one for each MRI finding, found none for {min(missing)}")
        if "not_done" in (*self.typical_imaging, *self.letters):
            raise ValueError("not_done: expected findings of an MRI, found the lack of one; remove it")
        if any(level != "confirmed" for name in _TYPES[:4] for level in self.grid[name]):
            raise ValueError(
                "grid: expected confirmed for types IA to ID, where cytology or biopsy is positive"
            )
        if any("confirmed" in self.grid[name] for name in _TYPES[4:]):
            raise ValueError(
                "grid: expected confirmed for types IA to ID alone, found it for a type without positive cytology or biopsy"
            )
        if wrong := [word for word in self.typical_imaging if word in _NO_FINDING]:
            raise ValueError(
                f"typical_imaging: expected findings of a metastasis, found {wrong[0]}; remove it"
            )
        return self


@dataclass(frozen=True, slots=True)
class Evidence:
    """A level and how it came about.

    Attributes:
        level: The level; None where what is known does not decide it.
        reasons: What it rests on, in short sentences.
        missing: Columns whose cell would be needed to decide it; empty where there is a level.
        type: Type such as ``ID``; empty unless the rules were checked by a person.
        source: Where the rule stands.
    """

    level: EvidenceLevel | None
    reasons: tuple[str, ...]
    missing: tuple[str, ...] = ()
    type: str = ""
    source: str = ""

    @property
    def words(self) -> str:
        """The level for people, such as ``confirmed`` or ``confirmed (type ID)``; ``not determined`` where there is none."""
        return (self.level or "not determined") + (f" (type {self.type})" if self.type else "")


def read_evidence_rules(path: Path) -> EvidenceRules:
    """Read rules from a file.

    Raises:
        ConfigError: It is missing, or has an unknown, missing or mistyped key.
    """
    return read_model(path, EvidenceRules, "evidence rules", "`inkdot case templates` writes them")


@cache
def default_evidence_rules() -> EvidenceRules:
    """The rules that come with Inkdot: letters and grid off."""
    with as_file(files("inkdot.cases") / "data" / "evidence_rules.yaml") as path:
        return read_evidence_rules(path)


def evidence_of(case: Case, rules: EvidenceRules | None = None) -> Evidence:
    """The evidence level of a row of ``cases.csv``; see :func:`evidence_level`."""
    return evidence_level(
        case.signed_category,
        case.leptomeningeal_biopsy,
        mri=case.mri,
        typical_signs=_known(case.typical_signs),
        cancer_history=_known(case.cancer_history),
        rules=rules,
    )


def evidence_level(
    signed: SignedCategory | None,
    biopsy: Biopsy | None,
    *,
    mri: MriFinding | None,
    typical_signs: bool | None,
    cancer_history: bool | None,
    rules: EvidenceRules | None = None,
) -> Evidence:
    """The evidence level of a patient.

    - confirmed: signed cytology or leptomeningeal biopsy is positive, whatever MRI and signs are;
    - probable: typical signs and typical imaging; possible: one of the two; lack of evidence: neither.

    Args:
        signed: The category that a person signed; None where there is none.
        biopsy: Leptomeningeal biopsy; None where unknown.
        mri: MRI finding; None where unknown.
        typical_signs: Whether there are typical clinical signs; None where unknown.
        cancer_history: Whether a cancer is known; None where unknown.
        rules: The rules; those that come with Inkdot where None.

    Raises:
        TypeError: ``signed`` is something else, such as the score of a model.
    """
    if signed is not None and type(signed) is not SignedCategory:
        raise TypeError(f"expected a category that a person signed, found {type(signed).__name__}")
    rules = rules or default_evidence_rules()
    cytology = None if signed is None else CYTOLOGY_OF[signed.category]
    positive = cytology == "positive" or biopsy == "positive"
    if positive:
        found = _confirmed(cytology)
    else:
        found = _without_cells(_cytology_words(signed), rules, mri, typical_signs, cancer_history)
    return _with_type(found, rules, positive=positive, mri=mri, typical_signs=typical_signs)


def _confirmed(cytology: Cytology | None) -> Evidence:
    what = (
        "signed cytology is positive" if cytology == "positive" else "the leptomeningeal biopsy is positive"
    )
    reasons = (what, "MRI and clinical signs do not lower it")
    return Evidence("confirmed", reasons, source="ESMO Open 2019;4:e000507; AANS 2025 citing EANO-ESMO 2023")


def _cytology_words(signed: SignedCategory | None) -> str:
    if signed is None:
        return "no signed category of cytology: the level is that without it"
    result = CYTOLOGY_OF[signed.category]
    return "cytology is nondiagnostic, which is not negative" if result is None else f"cytology is {result}"


def _without_cells(
    cytology: str,
    rules: EvidenceRules,
    mri: MriFinding | None,
    signs: bool | None,
    cancer_history: bool | None,
) -> Evidence:
    imaging = None if mri is None else mri in rules.typical_imaging
    reasons = [cytology, _signs_words(signs), _imaging_words(mri, typical=imaging)]
    source = "ESMO Open 2019;4:e000507; AANS 2025 citing EANO-ESMO 2023"
    if cancer_history is False:
        reasons.append("no known cancer: the criteria are for patients with one")
        return Evidence(None, tuple(reasons), (), source=source)
    missing = [name for name, known in (("typical_signs", signs), ("mri", imaging)) if known is None]
    if missing:
        if signs or imaging:
            reasons.append("at least possible")
        return Evidence(None, tuple(reasons), tuple(missing), source=source)
    if cancer_history is None:
        reasons.append("a known cancer is assumed: cancer_history is blank")
    levels: tuple[EvidenceLevel, ...] = ("lack of evidence", "possible", "probable")
    return Evidence(levels[bool(signs) + bool(imaging)], tuple(reasons), source=source)


def _signs_words(signs: bool | None) -> str:
    if signs is None:
        return "typical signs: unknown"
    return "typical clinical signs" if signs else "no typical clinical signs"


def _imaging_words(mri: MriFinding | None, *, typical: bool | None) -> str:
    if mri is None:
        return "MRI: unknown"
    if mri == "not_done":
        return "no MRI"
    return f"MRI {mri.replace('_', ' ')}: {'typical' if typical else 'not typical'}"


def _with_type(
    found: Evidence,
    rules: EvidenceRules,
    *,
    positive: bool,
    mri: MriFinding | None,
    typical_signs: bool | None,
) -> Evidence:
    """The evidence with its type, and the level of the grid, where a person has checked the rules."""
    if rules.checked is None or found.level is None or mri is None or mri == "not_done":
        return found
    kind = ("I" if positive else "II") + rules.letters[mri]
    level = found.level if typical_signs is None else rules.grid[kind][0 if typical_signs else 1]
    checked = f"type by the grid that a person checked against {rules.checked.against} ({rules.checked.date})"
    return Evidence(level, (*found.reasons, checked), type=kind, source=rules.checked.against)


def _known(answer: str | None) -> bool | None:
    return None if answer is None else answer == "yes"

"""The evidence level: only a person's signature confirms, a normal MRI lowers nothing, and letters stay off until checked."""

import ast
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from fixtures.founding_case import FOUNDING, write_cases

import inkdot
from inkdot.cases.case_record import SignedCategory
from inkdot.cases.columns import MriFinding
from inkdot.cases.evidence import (
    CheckedBy,
    EvidenceRules,
    default_evidence_rules,
    evidence_level,
    evidence_of,
    read_evidence_rules,
)
from inkdot.cases.read_cases import read_cases
from inkdot.errors import ConfigError

POSITIVE, NEGATIVE = SignedCategory("malignant", "reader-1"), SignedCategory("negative", "reader-1")


def checked_rules() -> EvidenceRules:
    checked = CheckedBy(by="Dr A", date="2026-01-31", against="Table 3")
    return default_evidence_rules().model_copy(update={"checked": checked})


def test_the_founding_case_is_confirmed_although_its_mri_is_normal(tmp_path: Path) -> None:
    (case,) = read_cases(write_cases(tmp_path / "cases.csv", [FOUNDING]))
    evidence = evidence_of(case)
    assert (evidence.level, evidence.type, evidence.words) == ("confirmed", "", "confirmed")
    assert evidence.reasons == ("signed cytology is positive", "MRI and clinical signs do not lower it")
    assert evidence_of(replace(case, mri=None, typical_signs=None)).level == "confirmed"
    assert evidence_of(case, checked_rules()).words == "confirmed (type ID)"
    unsigned = evidence_of(replace(case, signed_category=None))
    assert unsigned.level == "possible"
    assert unsigned.reasons[0] == "no signed category of cytology: the level is that without it"


@pytest.mark.parametrize(
    ("mri", "signs", "level"),
    [
        ("linear", True, "probable"),
        ("nodular", True, "probable"),
        ("both", False, "possible"),
        ("normal", True, "possible"),
        ("equivocal", True, "possible"),
        ("hydrocephalus_only", False, "lack of evidence"),
        ("not_done", True, "possible"),
        ("normal", False, "lack of evidence"),
        (None, True, None),
        ("linear", None, None),
        (None, None, None),
    ],
)
@pytest.mark.parametrize("category", ["negative", "atypical", "suspicious", "nondiagnostic", None])
def test_without_positive_cells_signs_and_imaging_decide(
    mri: MriFinding | None, signs: bool | None, level: str | None, category: Any
) -> None:
    signed = None if category is None else SignedCategory(category, "reader-1")
    found = evidence_level(signed, None, mri=mri, typical_signs=signs, cancer_history=True)
    assert found.level == level
    assert bool(found.missing) == (level is None)


def test_a_positive_biopsy_confirms_as_cytology_does() -> None:
    for mri in (None, "normal", "linear"):
        found = evidence_level(NEGATIVE, "positive", mri=mri, typical_signs=False, cancer_history=None)
        assert found.level == "confirmed"


def test_what_is_unknown_is_said() -> None:
    half = evidence_level(NEGATIVE, None, mri=None, typical_signs=True, cancer_history=True)
    assert (half.missing, half.reasons[-1]) == (("mri",), "at least possible")
    blank = evidence_level(NEGATIVE, None, mri="linear", typical_signs=True, cancer_history=None)
    assert (blank.level, blank.reasons[-1]) == (
        "probable",
        "a known cancer is assumed: cancer_history is blank",
    )
    none = evidence_level(NEGATIVE, None, mri="linear", typical_signs=True, cancer_history=False)
    assert (none.level, none.words) == (None, "not determined")
    vague = evidence_level(
        SignedCategory("nondiagnostic", "r"), None, mri="normal", typical_signs=False, cancer_history=True
    )
    assert vague.reasons[0] == "cytology is nondiagnostic, which is not negative"


def test_types_appear_once_a_person_has_checked_the_grid() -> None:
    rules = checked_rules()
    found = evidence_level(
        NEGATIVE, None, mri="nodular", typical_signs=False, cancer_history=True, rules=rules
    )
    assert (found.words, found.reasons[-1]) == (
        "possible (type IIB)",
        "type by the grid that a person checked against Table 3 (2026-01-31)",
    )
    changed = rules.model_copy(update={"grid": {**rules.grid, "IIB": ["probable", "lack of evidence"]}})
    other = evidence_level(
        NEGATIVE, None, mri="nodular", typical_signs=False, cancer_history=True, rules=changed
    )
    assert other.level == "lack of evidence"
    unchecked = changed.model_copy(update={"checked": None})
    off = evidence_level(
        NEGATIVE, None, mri="nodular", typical_signs=False, cancer_history=True, rules=unchecked
    )
    assert (off.level, off.type) == ("possible", "")


@pytest.mark.parametrize("score", [0.99, 1, True, "malignant", {"malignant": 0.99}])
def test_a_score_cannot_be_given(score: Any) -> None:
    with pytest.raises(TypeError, match="expected a category that a person signed"):
        evidence_level(score, None, mri="normal", typical_signs=True, cancer_history=True)


def test_only_the_reader_of_cases_makes_a_signed_category() -> None:
    assert get_type_hints(evidence_level)["signed"] == SignedCategory | None
    root = Path(inkdot.__file__).parent
    makers = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and (getattr(node.func, "id", "") or getattr(node.func, "attr", "")) == "SignedCategory"
    }
    assert makers == {"cases/read_cases.py"}


def test_rules_are_strict(tmp_path: Path) -> None:
    text = (files("inkdot.cases") / "data" / "evidence_rules.yaml").read_text(encoding="utf-8")
    path = tmp_path / "rules.yaml"
    for old, new, found in (
        (
            "checked: null",
            "checked: {by: Dr A, date: soon, against: x}",
            "date: expected YYYY-MM-DD, found 'soon'",
        ),
        ("checked: null", "checked: {by: Dr A}", "checked.date: expected a value, found none"),
        ("IID: [possible", "IIE: [possible", "grid: expected IA"),
        ("ID: [confirmed, confirmed]", "ID: [confirmed, probable]", "expected confirmed for types IA to ID"),
        ("letters: {linear: A,", "letters: {", "expected one for each MRI finding, found none for linear"),
        ("evidence-rules/1", "evidence-rules/2", "format: expected 'inkdot.evidence-rules/1'"),
        ("sources:", "source:", "source: unknown key; did you mean 'sources'"),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(ConfigError, match=found):
            read_evidence_rules(path)
    with pytest.raises(ConfigError, match="expected evidence rules, found nothing there"):
        read_evidence_rules(tmp_path / "none.yaml")


def _rules_file(tmp_path: Path, old: str, new: str) -> Path:
    text = (files("inkdot.cases") / "data" / "evidence_rules.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "rules.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("IIA: [probable, possible]", "IIA: [confirmed, possible]", "confirmed for types IA to ID alone"),
        ("typical_imaging: [linear", "typical_imaging: [normal, linear", "typical_imaging: .* found normal"),
        (
            "typical_imaging: [linear",
            "typical_imaging: [equivocal, linear",
            "typical_imaging: .* found equivocal",
        ),
        (
            "checked: null",
            'checked: {by: " ", date: "2026-01-31", against: "table"}',
            "checked: by: expected",
        ),
        ("checked: null", 'checked: {by: "Dr A", date: "2026-01-31", against: " "}', "against: expected"),
        (
            "checked: null",
            'checked: {by: "Dr A", date: "2999-01-31", against: "table"}',
            "date: .* found 2999-01-31",
        ),
        ("# checked: {by", "checked: {by", "by: expected .* found the words of the template"),
        ("checked: null", "checked: {by: Dr A, date: 2026-01-31x, against: t}", "date: expected YYYY-MM-DD"),
    ],
)
def test_a_grid_that_nobody_checked_or_that_confirms_without_cells_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = _rules_file(tmp_path, old, new)
    if old.startswith("#"):
        path.write_text(path.read_text(encoding="utf-8").replace("checked: null", ""), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_evidence_rules(path)


def test_the_date_of_a_check_needs_no_quotes(tmp_path: Path) -> None:
    rules = read_evidence_rules(
        _rules_file(tmp_path, "checked: null", "checked: {by: Dr A, date: 2026-01-31, against: table 3}")
    )
    assert rules.checked is not None
    assert rules.checked.date == "2026-01-31"

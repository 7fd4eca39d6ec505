"""``inkdot case`` as a person types it: templates, checks, panels, published models and counts."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from fixtures.founding_case import FOUNDING, write_cases

from inkdot.cases.columns import KNOWN
from inkdot.cases.read_cases import read_cases
from inkdot.cli.demo import write_cases as write_demo_cases
from inkdot.storage.output_layouts import CohortLayout

CommandLine = Callable[..., None]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_the_worked_example_shows_the_founding_case(
    inkdot: CommandLine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "templates"
    inkdot("case", "templates", "--out", folder)
    (case,) = read_cases(folder / "cases.csv")
    (published,) = read_cases(write_cases(tmp_path / "own.csv", [FOUNDING]))
    for name in KNOWN:
        if name not in {"patient_id", "specimen_id", "primary_tumour", "signed_by", "signed_category"}:
            assert getattr(case, name) == getattr(published, name), name
    inkdot("case", "check", folder / "cases.csv")
    inkdot("case", "show", folder / "cases.csv")
    text = capsys.readouterr().out
    assert "1 row, 0 to correct, 0 to look at again" in text
    assert "! 0.75 g/L" in text
    assert "confirmed" in text
    assert "For Research Use Only" in text
    inkdot("case", "templates", "--out", folder, code=2)  # files are never replaced
    assert "expected no file there, found one" in capsys.readouterr().err


def test_the_panel_is_written_as_a_table(inkdot: CommandLine, tmp_path: Path) -> None:
    named = {**FOUNDING, "primary_tumour": "=HYPERLINK(1)"}
    table = write_cases(tmp_path / "cases.csv", [named, {"patient_id": "P-002", "tap_number": "1"}])
    inkdot("case", "show", table, "--out", tmp_path / "panel.csv")
    rows = rows_of(tmp_path / "panel.csv")
    assert {row["patient_id"] for row in rows} == {"P-001", "P-002"}
    assert [row["value"] for row in rows if row["label"] == "Known tumour"] == ["'=HYPERLINK(1)"]
    assert [row["warning"] for row in rows if row["label"] == "Tap"] == ["True"]


def test_findings_and_unknown_patients_are_named(
    inkdot: CommandLine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slides.csv").write_text("slide_id,path,patient_id,malignancy\na,a.svs,P-009,odd\n")
    rows = [{**FOUNDING, "csf_protein_g_per_l": "75", "opening_pressure_mmh2o": "25"}]
    table = write_cases(tmp_path / "cases.csv", rows)
    inkdot("case", "check", table, "--slides", tmp_path / "slides.csv", code=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].endswith("found 75; is it in mg/dL (0.75 g/L)?")
    assert lines[1].endswith("is it in cmH2O (250 mmH2O) or mmHg (340 mmH2O)? (warning)")
    assert lines[2] == "cases: patient 'P-001' of cases.csv: no slide of this patient_id in slides.csv"
    assert lines[3] == "cases: patient 'P-009' of slides.csv: no row in cases.csv"
    assert lines[4] == "1 row, 1 to correct, 1 to look at again"
    inkdot("case", "show", table, code=2)
    inkdot("case", "show", write_cases(tmp_path / "b.csv", [FOUNDING]), "--patient", "P-7", code=2)
    assert "expected a row of patient 'P-7', found none" in capsys.readouterr().err


def test_a_published_model_is_computed_or_says_what_it_lacks(
    inkdot: CommandLine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inkdot("case", "templates", "--out", tmp_path)
    capsys.readouterr()
    model = tmp_path / "gao-2022-model-b.yaml"
    inkdot("case", "probability", model, tmp_path / "cases.csv", code=2)
    assert "expected numbers, found none for: coefficient of skull metastasis" in capsys.readouterr().err
    data = yaml.safe_load(model.read_text(encoding="utf-8"))
    data |= {
        "intercept": 0.0,
        "coefficients_from": "made up for this test",
        "predictors": data["predictors"][-2:],
    }
    for predictor, unit in zip(data["predictors"], ("g/L", "mmol/L"), strict=True):
        predictor |= {"unit": unit, "coefficient": 1.0}
    model.write_text(yaml.safe_dump(data), encoding="utf-8")
    rows = [FOUNDING, {"patient_id": "P-002", "csf_protein_g_per_l": "0.4"}]
    table = write_cases(tmp_path / "two.csv", rows)
    inkdot("case", "probability", model, table)
    text = capsys.readouterr().out
    assert "0.922" in text  # 1 / (1 + exp(-(0.75 + 1.72)))
    assert "CSF glucose: column csf_glucose_mmol_per_l is blank or missing" in text
    assert "published: AUC 0.901 (0.852 to 0.949) on their patients, one centre" in text
    assert "1 of 2 cases have every predictor" in text
    inkdot("case", "probability", model, table, "--out", tmp_path / "out.csv")
    found = rows_of(tmp_path / "out.csv")
    assert float(found[0]["probability"]) == pytest.approx(1 / (1 + np.exp(-2.47)), abs=1e-6)
    assert (found[1]["probability"], found[1]["caution"][:29]) == ("", "validated internally only; pu")
    inkdot("case", "probability", model, write_cases(tmp_path / "none.csv", rows[1:]), code=1)


def test_counts_of_a_person_give_the_cps(inkdot: CommandLine, capsys: pytest.CaptureFixture[str]) -> None:
    counts = ["--stained-tumour-cells", 10, "--stained-immune-cells", 2, "--viable-tumour-cells"]
    inkdot("case", "cps", *counts, 100)
    assert capsys.readouterr().out.startswith("CPS 12 = (10 + 2) / 100 x 100; tumour cells alone (TPS) 10 %")
    inkdot("case", "cps", *counts, 9, code=2)
    assert "expected at most the viable ones (9), found 10" in capsys.readouterr().err


def test_the_demo_gives_the_example_to_a_synthetic_patient(tmp_path: Path) -> None:
    new = CohortLayout(tmp_path)
    new.slides_csv.write_text(
        "slide_id,path,patient_id,patient_morphology\na,a.tif,s-p0,small_cell\nb,b.tif,s-p1,large_cell\n"
    )
    (case,) = read_cases(write_demo_cases(new))
    assert (case.patient_id, case.csf_protein_g_per_l) == ("s-p1", 0.75)
    assert case.primary_tumour == "values of the published founding case, given to a synthetic patient"

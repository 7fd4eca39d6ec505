"""`inkdot plan`: the table, the JSON, the page and the picture say the same; wrong input is one line."""

import json
from pathlib import Path

import pytest

from inkdot.errors import UserError
from inkdot.evaluation.planning.patients import compare_plan, lock_plan, sensitivity_plan
from inkdot.evaluation.planning.readers import read_components, reader_study_plan
from inkdot.metrics.reader_study import VAN_DYKE
from inkdot.stages import plan as stage


def test_the_answer_is_the_same_in_every_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = lock_plan(0.95, prevalence=0.1)
    for ending in ("html", "svg", "json", "png"):
        assert stage.run(made, tmp_path / f"lock.{ending}", as_json=ending == "json") == 0
    printed = capsys.readouterr().out
    assert "59 positive patients lock a threshold" in printed
    stored = json.loads((tmp_path / "lock.json").read_text(encoding="utf-8"))
    assert stored["rows"][1]["positive patients"] == 93
    assert stored["inputs"] == {"sensitivity": 0.95, "confidence": 0.95, "prevalence": 0.1}
    assert json.dumps(stored, indent=2, ensure_ascii=False) in printed
    page = (tmp_path / "lock.html").read_text(encoding="utf-8")
    assert "default-src &#39;none&#39;" in page
    assert ">93</td>" in page
    assert "guaranteed sensitivity" in (tmp_path / "lock.svg").read_text(encoding="utf-8")
    assert (tmp_path / "lock.png").read_bytes().startswith(b"\x89PNG")


def test_an_interval_for_any_result_needs_most_patients() -> None:
    made = sensitivity_plan(0.95, 0.05)
    counts = [row[1] for row in made.rows]
    assert counts == sorted(counts, key=lambda count: count or 0)  # pyright: ignore[reportArgumentType]
    assert made.lines[0].x[-1] == 2 * int(counts[0] or 0)


def test_models_that_agree_more_need_fewer_patients() -> None:
    rows = {row[0]: row for row in compare_plan(0.85, 0.92, discordant=0.11).rows}
    agreeing, given, independent = (
        rows[name][4] for name in ("if they mostly agree", "as given", "if they err independently")
    )
    assert agreeing < given < independent  # pyright: ignore[reportOperatorIssue]
    # A only better where B fails: every patient on whom they disagree speaks for B.
    assert compare_plan(0.8, 0.9, discordant=0.1).rows[0][2] == 0.0
    assert compare_plan(0.9, 0.8, discordant=0.1).rows[0][3] == 0.0


def test_reads_are_twice_the_cases_where_every_reader_reads_both_ways() -> None:
    crossed = reader_study_plan(0.05, "van-dyke", readers=[5])
    assert crossed.rows[0][:5] == ("5", 5, 213, 426, 2130)
    arms = reader_study_plan(0.05, "van-dyke", readers=[3, 20], design="two-arm")
    assert arms.rows[0][:3] == ("3", 6, None)
    _, people, cases, reads, _, _ = arms.rows[1]
    assert (people, reads) == (40, cases)
    none = reader_study_plan(0.02, "van-dyke", readers=[3])
    assert none.answer.startswith("No number of cases")


def test_components_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pilot.json"
    values = {name: getattr(VAN_DYKE, name) for name in VAN_DYKE.__dataclass_fields__}
    path.write_text(json.dumps(values))
    assert read_components(path) == VAN_DYKE
    wrong = [json.dumps(values | changed) for changed in ({"cov1": "x"}, {"cases": 0}, {"var": 10**400})]
    for text in ("{", "[]", "[" * 100_000, *wrong):
        path.write_text(text)
        with pytest.raises(UserError, match=r"pilot\.json: expected JSON with the numbers var_r, .* found"):
            read_components(path)
    with pytest.raises(UserError, match="or the name van-dyke"):
        reader_study_plan(0.05, str(tmp_path / "gone.json"))


def test_impossible_questions_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected half_width above 0"):
        sensitivity_plan(0.95, 0.0)
    with pytest.raises(UserError, match="expected sensitivity between 0 and 1, found 1"):
        lock_plan(1.0)
    with pytest.raises(UserError, match=r"--discordant: expected 0\.1 to 0\.3"):
        compare_plan(0.8, 0.9, discordant=0.05)
    with pytest.raises(UserError, match="shares that differ"):
        compare_plan(0.9, 0.9)
    with pytest.raises(UserError, match="expected prevalence above 0"):
        lock_plan(0.95, prevalence=0.0)
    with pytest.raises(UserError, match=r"--out: expected a file ending in \.html"):
        stage.run(lock_plan(0.95), tmp_path / "lock.pdf", as_json=False)

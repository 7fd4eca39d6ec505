"""``inkdot review study``: orders and arms, the wash-out that the server keeps, and tables whose numbers are known."""

import csv
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fixtures.scored_results import scored_results

from inkdot.errors import StorageError, UserError
from inkdot.review.study.design import make_design, read_design
from inkdot.serve.served_results import ServedResults, ServeSettings, served_results
from inkdot.serve.study_reading import open_reading
from inkdot.stages.review import serve as review_serve
from inkdot.stages.review import study
from inkdot.storage.layout import RunLayout
from inkdot.storage.verdict_schema import Change, Study
from inkdot.storage.verdict_store import VerdictStore, read_verdict_store

MODEL = "ab" * 32
SCORES = {(0, 0): 0.9, (2, 2): 0.4, (4, 4): 0.2}
SLIDES = ("s1", "s2", "s3", "s4", "lesson")
START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
RATED = {1: "negative", 2: "atypical", 3: "suspicious", 4: "malignant"}


@pytest.fixture
def results(tmp_path: Path) -> RunLayout:
    patients = {"s1": "p1", "s2": "p2", "s3": "p3", "s4": "p4"}
    return scored_results(tmp_path, dict.fromkeys(SLIDES, SCORES), patients=patients)


@pytest.fixture
def made(results: RunLayout, tmp_path: Path) -> Path:
    path = tmp_path / "study.json"
    study.make(results.root, path, readers=["dr-a", "dr-b"], seed=7, training=["lesson"], top_n=2)
    return path


def answer(
    results: RunLayout, path: Path, reader: str, number: int, ratings: dict[str, int], start: datetime
) -> None:
    """Store categories of slides, ten seconds apart, in the order of the reading."""
    plan = read_design(path).plan_of(reader)
    reading = plan.first if number == 1 else plan.second
    store = VerdictStore(results.reviews_sqlite)
    for step, slide_id in enumerate(slide for slide in reading.slides if slide in ratings):
        time = (
            (start + timedelta(seconds=10 * step)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        )
        means = RATED[ratings[slide_id]]
        verdicts = {"category": {"verdict": means.upper(), "means": means, "time": time}}
        where = Study(MODEL, reading.arm, reading.order_seed)
        entry = {"verdicts": verdicts, "note": None}
        store.record(
            Change(
                reader, where, slide_id, slide_id, "", 0, None, entry, is_undo=False, time=time, kind="slide"
            )
        )
    store.close()


def server_of(results: RunLayout) -> Callable[[ServeSettings], ServedResults]:
    return lambda settings: served_results(results.root, settings)


def ids(served: ServedResults) -> list[str]:
    return [slide["id"] for slide in served.facts["slides"]]  # type: ignore[index, union-attr]


def test_every_reader_reads_every_case_in_both_arms_in_an_order_of_their_own() -> None:
    cases = [f"s{number:02}" for number in range(40)]
    readers = [f"dr-{number}" for number in range(6)]
    design = make_design(
        cases, readers, training=["t"], seed=3, washout_days=14, top_n=10, model_sha256=MODEL
    )
    orders = [reading.slides for plan in design.readers for reading in (plan.first, plan.second)]
    assert len({order[-40:] for order in orders}) == 12
    assert all(plan.first.slides[0] == "t" and "t" not in plan.second.slides for plan in design.readers)
    assert sum(plan.first.arm == "blinded" for plan in design.readers) == 3
    assert all({plan.first.arm, plan.second.arm} == {"blinded", "scores"} for plan in design.readers)
    again = make_design(cases, readers, training=["t"], seed=3, washout_days=14, top_n=10, model_sha256=MODEL)
    other = make_design(cases, readers, training=["t"], seed=4, washout_days=14, top_n=10, model_sha256=MODEL)
    assert design == again
    assert design != other


def test_a_study_that_has_begun_is_not_overwritten_or_edited(results: RunLayout, made: Path) -> None:
    with pytest.raises(UserError, match="a study that has begun must not change"):
        study.make(results.root, made, readers=["dr-a"], seed=1)
    text = json.loads(made.read_text(encoding="utf-8"))
    text["readers"][0]["second"]["slides"].pop()
    made.write_text(json.dumps(text), encoding="utf-8")
    with pytest.raises(StorageError, match="does not read every case twice"):
        read_design(made)


def test_the_server_shows_the_open_reading_and_no_place_before_the_washout_has_passed(
    results: RunLayout, made: Path
) -> None:
    design, serve = read_design(made), server_of(results)

    def opened(now: datetime) -> tuple[int, list[str], str]:
        changes = read_verdict_store(results.reviews_sqlite) if results.reviews_sqlite.exists() else []
        found = open_reading(design, "dr-a", changes, ServeSettings(), serve, now)
        assert len(found.served.regions) == 2 * len(ids(found.served))  # top_n
        return found.number, ids(found.served), found.served.study.shown

    plan = design.plan_of("dr-a")
    assert opened(START) == (1, list(plan.first.slides), plan.first.arm)
    every = dict.fromkeys(SLIDES, 1)
    answer(results, made, "dr-a", 1, {name: 1 for name in SLIDES if name != "s3"}, START)
    assert opened(START + timedelta(days=99))[0] == 1  # a slide is missing: no wash-out begins
    answer(results, made, "dr-a", 1, every, START)
    last = START + timedelta(seconds=40)
    for day in (0, 1, 13.9):
        with pytest.raises(
            UserError, match=r"dr-a: the second reading opens on 2026-03-15 at 09:00 UTC, 14 days after"
        ):
            opened(last + timedelta(days=day))
    assert opened(last + timedelta(days=14)) == (2, list(plan.second.slides), plan.second.arm)
    answer(results, made, "dr-a", 2, every, last + timedelta(days=15))
    with pytest.raises(UserError, match="both readings are complete"):
        opened(last + timedelta(days=30))


def test_a_blinded_reading_holds_no_score_and_the_other_reader_is_not_affected(
    results: RunLayout, made: Path
) -> None:
    design = read_design(made)
    answer(results, made, "dr-a", 1, dict.fromkeys(SLIDES, 1), START)
    changes = read_verdict_store(results.reviews_sqlite)
    found = open_reading(design, "dr-b", changes, ServeSettings(), server_of(results), START)
    assert found.number == 1
    arms = {plan.reader: plan.first.arm for plan in design.readers}
    assert set(arms.values()) == {"blinded", "scores"}
    for plan in design.readers:
        if plan.first.arm == "blinded":
            served = open_reading(design, plan.reader, [], ServeSettings(), server_of(results), START).served
            assert all(region.score is None for region in served.regions.values())
            assert "call" not in json.dumps(served.facts["slides"])


def test_one_server_serves_one_reader_of_a_study(results: RunLayout, made: Path) -> None:
    for readers, reason in (
        (["dr-a", "dr-b"], "expected one --reader"),
        (["dr-x"], "expected a reader of the study"),
    ):
        with pytest.raises(UserError, match=reason):
            review_serve.run(results.root, settings=ServeSettings(), readers=readers, study=made)
    answer(results, made, "dr-a", 1, dict.fromkeys(SLIDES, 1), datetime.now(UTC))
    with pytest.raises(UserError, match="the second reading opens on"):
        review_serve.run(results.root, settings=ServeSettings(), readers=["dr-a"], study=made)


def rows(path: Path) -> Sequence[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tables_have_the_forms_of_imrmc_and_mrmcaov_and_the_numbers_of_the_answers(
    results: RunLayout, made: Path, tmp_path: Path
) -> None:
    truth = tmp_path / "truth.csv"
    labels = {"s1": "malignant", "s2": "malignant", "s3": "benign", "s4": "benign"}
    lines = [f"{name},{name}.tif,p{name},{label}" for name, label in labels.items()]
    truth.write_text("\n".join(["slide_id,path,patient_id,malignancy", *lines]) + "\n", encoding="utf-8")
    # Blinded one of two positives is found, with scores both; with scores one negative is called too.
    blinded, scores = {"s1": 4, "s2": 1, "s3": 1, "s4": 2}, {"s1": 4, "s2": 3, "s3": 1, "s4": 3}
    design = read_design(made)
    for plan in design.readers:
        for number, reading in enumerate((plan.first, plan.second), start=1):
            given = blinded if reading.arm == "blinded" else scores
            answer(
                results,
                made,
                plan.reader,
                number,
                {**given, "lesson": 4},
                START + timedelta(days=20 * number),
            )
    out = tmp_path / "tables"
    assert study.tables(made, results.root, out, truth=truth) == 0
    imrmc = rows(out / "imrmc.csv")
    assert list(imrmc[0]) == ["readerID", "caseID", "modalityID", "score"]
    known = {row["caseID"]: row["score"] for row in imrmc if row["readerID"] == "truth"}
    assert known == {"s1": "1", "s2": "1", "s3": "0", "s4": "0"}
    assert {row["modalityID"] for row in imrmc if row["readerID"] == "truth"} == {"truth"}
    assert len(imrmc) == 4 + 2 * 2 * 4
    mrmcaov = rows(out / "mrmcaov.csv")
    assert list(mrmcaov[0]) == ["reader", "treatment", "case", "truth", "rating"]
    found = {
        row["case"]: float(row["rating"])
        for row in mrmcaov
        if (row["reader"], row["treatment"]) == ("dr-b", "scores")
    }
    assert found == scores
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    values = {
        one["metric"]: [one["result"][name]["value"] for name in ("first", "second", "difference")]
        for one in summary["comparisons"] if one["result"]
    }  # fmt: skip
    assert values["sensitivity"] == [0.5, 1.0, 0.5]
    assert values["specificity"] == [1.0, 0.5, -0.5]
    assert values["AUC of ratings"] == pytest.approx([0.625, 0.875, 0.25])  # by hand over the four pairs
    assert summary["agreement"]["blinded"]["value"] == 1.0
    # Ten seconds between answers; the first of a reading follows none.
    times = rows(out / "times.csv")
    assert [row["seconds"] for row in times if row["seconds"]] == ["10.0"] * (len(times) - 4)
    text = (out / "summary.md").read_text(encoding="utf-8")
    assert "| sensitivity | 0.500 (" in text
    assert "For Research Use Only" in text


def test_a_pause_is_not_reading_time_and_places_stand_in_for_a_missing_category(
    results: RunLayout, made: Path, tmp_path: Path
) -> None:
    design = read_design(made)
    plan = design.plan_of("dr-a")
    store = VerdictStore(results.reviews_sqlite)
    given = [("s1", "benign", 0), ("s1", "malignant", 12), ("s2", "benign", 4000), ("s2", "atypical", 4030)]
    for number, (slide_id, verdict, seconds) in enumerate(given):
        time = (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entry = {"verdicts": {"malignancy": {"verdict": verdict, "time": time}}, "note": None}
        where = Study(MODEL, plan.first.arm, plan.first.order_seed)
        box = f"POLYGON (({number} 0, {number + 1} 0, {number + 1} 1, {number} 1, {number} 0))"
        store.record(
            Change("dr-a", where, f"k{number}", slide_id, box, number, None, entry, is_undo=False, time=time)
        )
    store.close()
    truth = tmp_path / "truth.csv"
    truth.write_text("slide_id,path,malignancy\ns1,s1.tif,malignant\ns2,s2.tif,benign\n", encoding="utf-8")
    study.tables(made, results.root, tmp_path / "tables", truth=truth)
    found = {
        row["slide_id"]: (row["rating"], row["source"], row["seconds"])
        for row in rows(tmp_path / "tables" / "readings.csv")
        if row["reader"] == "dr-a" and row["arm"] == plan.first.arm and row["rating"]
    }
    assert found == {"s1": ("4.0", "places", "12.0"), "s2": ("2.5", "places", "30.0")}


def test_no_answers_are_named(results: RunLayout, made: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="expected the answers of the study, found nothing there"):
        study.tables(made, results.root, tmp_path / "out", truth=results.slides_csv)


def test_a_reader_named_twice_is_refused_in_plain_words() -> None:
    with pytest.raises(UserError, match=r"found: a reader is named twice$"):
        make_design(["S1"], ["dr-a", "dr-a"], seed=1, washout_days=14, top_n=30, model_sha256="ab" * 32)

"""``inkdot review export`` on painted slides: the right pixels, bad slides beside good ones, the same bytes again."""

import csv
import hashlib
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from fixtures.founding_case import FOUNDING, write_cases
from fixtures.scored_results import COLUMNS, ROWS, SIDE_L0_PX, write_scores
from PIL import Image

from inkdot.errors import ManifestError, StorageError, UserError
from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import manifest_text, read_slides
from inkdot.records import Mpp, RgbArray, SlideEntry
from inkdot.review.gallery.pseudonyms import read_pseudonyms
from inkdot.review.gallery.shareable_text import OTHER_WARNING
from inkdot.review.verdicts.verdict_table import COLUMNS as COLUMNS_OF_VERDICTS
from inkdot.review.verdicts.verdict_table import VERDICTS_VERSION
from inkdot.serve.served_results import ServeSettings, served_results
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages.review import export as review_export
from inkdot.stages.review import import_verdicts as review_import
from inkdot.storage.atomic import write_text
from inkdot.storage.layout import RunLayout
from inkdot.storage.output_layouts import ReviewLayout
from inkdot.storage.schemas import SCORES_VERSION
from inkdot.storage.tables.labels_table import read_labels
from inkdot.storage.tables.parquet_tables import read_table, write_table
from inkdot.storage.tables.predictions import Prediction, write_predictions

if TYPE_CHECKING:
    from playwright.sync_api import Page

MPP = 0.5


def colour(column: int, row: int) -> tuple[int, int, int]:
    return 40 + 25 * column, 40 + 35 * row, 90


def painted() -> RgbArray:
    """A slide whose tiles have a colour each, with a black square of 50 µm in the middle of each."""
    rgb = np.zeros((ROWS * SIDE_L0_PX, COLUMNS * SIDE_L0_PX, 3), dtype=np.uint8)
    for row in range(ROWS):
        for column in range(COLUMNS):
            y, x = row * SIDE_L0_PX, column * SIDE_L0_PX
            rgb[y : y + SIDE_L0_PX, x : x + SIDE_L0_PX] = colour(column, row)
            rgb[y + 50 : y + 150, x + 50 : x + 150] = 0
    return rgb


def add_scores(
    results: RunLayout, entry: SlideEntry, scores: dict[tuple[int, int], float], **more: Any
) -> None:
    """Scores of tiles at (column, row)."""
    write_scores(results, entry, scores, {"warnings": ["stain not stated"]} | more)


def prediction(slide_id: str, scores: dict[tuple[int, int], float]) -> Prediction:
    flagged = sum(score >= 0.5 for score in scores.values())
    if not scores:
        return Prediction(slide_id, "done", "inadequate", reason="no tile with foreground")
    call = "flagged" if flagged else "nothing flagged"
    return Prediction(slide_id, "done", call, f"{max(scores.values()):.4f}", len(scores), flagged)


FLAGGED = {(0, 0): 0.2, (7, 5): 0.9, (3, 2): 0.95, (4, 2): 0.1}
CLEAN = {(1, 1): 0.3, (6, 4): 0.4}


@pytest.fixture
def results(tmp_path: Path) -> RunLayout:
    """Four slides: flagged, nothing flagged, without tiles, and one that predict could not read."""
    layout = RunLayout(tmp_path / "results")
    layout.root.mkdir()
    names = ("A flagged", "B clean", "C empty", "D broken")
    entries = [SlideEntry(name, tmp_path / f"{name}.tif") for name in names]
    write_array_pyramid(entries[0].path, painted(), mpp=Mpp.square(MPP))
    for entry in entries[1:3]:
        shutil.copy(entries[0].path, entry.path)
    scores: list[dict[tuple[int, int], float]] = [FLAGGED, CLEAN, {}]
    predictions = [
        prediction(entry.slide_id, tiles) for entry, tiles in zip(entries[:3], scores, strict=True)
    ]
    reason = f"{entries[3].path}: expected a slide, found a text file (Reading {entries[3].path.parent}/x)"
    predictions.append(Prediction("D broken", "failed", "", reason=reason))
    for entry, tiles in zip(entries[:3], scores, strict=True):
        add_scores(layout, entry, tiles)
    write_text(layout.slides_csv, manifest_text(entries, DEFAULT_HEADS, layout.root))
    write_predictions(layout.predictions_csv, predictions)
    return layout


def facts_of(out: Path) -> dict[str, Any]:
    page = ReviewLayout(out).index.read_text(encoding="utf-8")
    match = re.search(r'id="facts">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    facts: dict[str, Any] = json.loads(match[1])
    return facts


def worklist(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(ReviewLayout(out).worklist.read_text(encoding="utf-8"))))


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".inkdot.lock"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_slide_without_cells_is_inadequate_on_the_page_too(results: RunLayout, tmp_path: Path) -> None:
    table = results.predictions_csv.read_text(encoding="utf-8")
    assert "D broken,failed,," in table
    write_text(results.predictions_csv, table.replace("D broken,failed,,", "D broken,failed,inadequate,"))
    review_export.run(results.root, tmp_path / "review")
    assert {row["slide_id"]: row["call"] for row in worklist(tmp_path / "review")}["D broken"] == "inadequate"
    assert facts_of(tmp_path / "review")["slides"][2]["call"] == "inadequate"


@pytest.mark.parametrize("blinded_seed", [None, 3])
def test_a_known_warning_is_shown_under_pseudonyms_without_what_it_quotes(
    results: RunLayout, tmp_path: Path, blinded_seed: int | None
) -> None:
    path = results.scores("A flagged")
    table, footer = read_table(path, SCORES_VERSION)
    quoting = ["stain not stated; the model was trained on Doe", "site of Doe unknown"]
    write_table(path, table, SCORES_VERSION, {**footer, "warnings": quoting})
    review_export.run(results.root, tmp_path / "review", pseudonymise=True, blinded_seed=blinded_seed)
    found = [slide["warnings"] for slide in facts_of(tmp_path / "review")["slides"]]
    assert ["stain not stated", OTHER_WARNING] in found


def test_every_slide_is_listed_and_a_failed_one_makes_the_exit_code_one(
    results: RunLayout, tmp_path: Path
) -> None:
    out = tmp_path / "review"
    assert review_export.run(results.root, out) == 1
    rows = worklist(out)
    assert [(row["slide_id"], row["call"]) for row in rows] == [
        ("A flagged", "flagged"),
        ("C empty", "inadequate"),
        ("D broken", "not analysed"),
        ("B clean", "nothing flagged"),
    ]
    # Named without its folders: what is handed over does not tell how the disk is arranged.
    assert rows[2]["problem"] == "D broken.tif: expected a slide, found a text file (Reading x)"
    texts = [path.read_text(encoding="utf-8") for path in out.iterdir() if path.is_file()]
    assert not any(str(tmp_path) in text for text in texts)
    assert rows[0]["flagged_tiles"] == "2"
    assert [slide["id"] for slide in facts_of(out)["slides"]] == [row["slide_id"] for row in rows]
    assert ReviewLayout(out).geojson("A flagged").exists()
    assert not ReviewLayout(out).geojson("D broken").exists()


def test_a_failed_slide_whose_file_opens_can_be_looked_at(results: RunLayout, tmp_path: Path) -> None:
    out = tmp_path / "review"
    review_export.run(results.root, out)
    assert facts_of(out)["slides"][2]["overview"] is None  # there is no such file
    shutil.copy(tmp_path / "A flagged.tif", tmp_path / "D broken.tif")
    assert review_export.run(results.root, out) == 1
    scored, failed = (facts_of(out)["slides"][index] for index in (0, 2))
    for name in ("mpp", "size_l0_px", "bounds_l0_px", "overview_bar"):
        assert failed[name] == scored[name]
    assert (failed["regions"], failed["score"], failed["problem"] != "") == ([], None, True)
    images = [out / slide["overview"]["src"] for slide in (scored, failed)]
    assert images[0] != images[1]
    assert images[0].read_bytes() == images[1].read_bytes()


def test_images_show_their_regions(results: RunLayout, tmp_path: Path) -> None:
    out = tmp_path / "review"
    review_export.run(results.root, out)
    slide = facts_of(out)["slides"][0]
    assert [(p["x_l0_px"] // 200, p["y_l0_px"] // 200, p["flagged"]) for p in slide["regions"]] == [
        (3, 2, True),
        (7, 5, True),
        (0, 0, False),
        (4, 2, False),
    ]
    for region in slide["regions"]:
        column, row = region["x_l0_px"] // SIDE_L0_PX, region["y_l0_px"] // SIDE_L0_PX
        tile = np.asarray(Image.open(out / region["tile"])).astype(int)
        assert tile.shape == (200, 200, 3)  # at the slide's own 0.5 µm/px, finer than the tiles
        assert np.abs(tile[20:40, 20:40].mean(axis=(0, 1)) - colour(column, row)).max() < 4
        assert tile[60:140, 60:140].max() < 16
        context = np.asarray(Image.open(out / region["context"])).astype(int)
        assert region["context_px"] == 800
        assert context.shape[0] > 800  # a scale bar and where it comes from, below
        assert context.shape[1] == 800
        bar = context[800:, :] < 40
        assert longest_run(bar.all(axis=2)[np.argmax(bar.all(axis=2).sum(axis=1))]) == 200  # 100 µm
        assert np.abs(context[320:340, 320:340].mean(axis=(0, 1)) - colour(column, row)).max() < 4
    # Beyond the slide's edge the surroundings are white.
    corner = next(region for region in slide["regions"] if region["x_l0_px"] == 0)
    assert np.asarray(Image.open(out / corner["context"]))[:200, :200].min() > 250


def test_a_slide_with_nothing_flagged_shows_its_regions_and_is_never_called_negative(
    results: RunLayout, tmp_path: Path
) -> None:
    out = tmp_path / "review"
    review_export.run(results.root, out)
    slide = facts_of(out)["slides"][3]
    assert slide["call"] == "nothing flagged"
    assert [region["score"] for region in slide["regions"]] == [pytest.approx(0.4), pytest.approx(0.3)]
    assert "negative" not in json.dumps(facts_of(out)["slides"]).lower()


def test_top_n_limits_the_regions_and_is_checked(results: RunLayout, tmp_path: Path) -> None:
    out = tmp_path / "review"
    review_export.run(results.root, out, top_n=1)
    slide = facts_of(out)["slides"][0]
    assert len(slide["regions"]) == 1
    assert slide["more_flagged"]
    for wrong in (0, 121):
        with pytest.raises(UserError, match="--top"):
            review_export.run(results.root, out, top_n=wrong)


def test_the_same_results_give_the_same_bytes_and_images_are_kept(results: RunLayout, tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    review_export.run(results.root, first)
    review_export.run(results.root, second)
    assert digests(first) == digests(second)
    image = first / facts_of(first)["slides"][0]["regions"][0]["tile"]
    before = image.stat().st_mtime_ns
    image_gone = first / facts_of(first)["slides"][0]["regions"][1]["tile"]
    image_gone.unlink()  # as if the export had been stopped
    review_export.run(results.root, first)
    assert image.stat().st_mtime_ns == before
    assert digests(first) == digests(second)


def test_images_of_an_earlier_export_are_deleted_and_other_files_kept(
    results: RunLayout, tmp_path: Path
) -> None:
    out = tmp_path / "review"
    review_export.run(results.root, out)
    notes = ReviewLayout(out).tiles / "my notes.jpg"
    notes.write_bytes(b"mine")
    review_export.run(results.root, out, top_n=1)
    shown = {path.name for path in ReviewLayout(out).tiles.iterdir()}
    assert notes.exists()
    assert (
        len(shown) == 1 + 3 + 2 * 2
    )  # the note, three overviews, tile and surroundings of one region on two slides


def test_a_missing_slide_is_listed_and_the_others_continue(results: RunLayout, tmp_path: Path) -> None:
    (tmp_path / "A flagged.tif").unlink()
    out = tmp_path / "review"
    assert review_export.run(results.root, out) == 1
    slides = {slide["id"]: slide for slide in facts_of(out)["slides"]}
    assert slides["A flagged"]["problem"]
    assert len(slides["A flagged"]["regions"]) == 4
    assert "tile" not in slides["A flagged"]["regions"][0]
    assert slides["B clean"]["problem"] == ""
    assert "tile" in slides["B clean"]["regions"][0]


def test_a_blinded_export_holds_no_scores_anywhere(results: RunLayout, tmp_path: Path) -> None:
    out = tmp_path / "review"
    review_export.run(results.root, out, blinded_seed=3)
    assert not ReviewLayout(out).worklist.exists()
    assert list(out.glob("*.geojson")) == []
    assert facts_of(out)["blinded_seed"] == 3
    assert "score" not in facts_of(out)["slides"][0]


@pytest.mark.parametrize("settings", [{"pseudonymise": True}, {"blinded_seed": 3}])
def test_a_reason_that_quotes_a_person_s_name_does_not_reach_those_who_must_not_know(
    results: RunLayout, tmp_path: Path, settings: dict[str, Any]
) -> None:
    text = results.predictions_csv.read_text(encoding="utf-8")
    quoted = "expected a class that the config maps, found 'Erika Mustermann'"
    results.predictions_csv.write_text(text.replace("expected a slide", quoted), encoding="utf-8")
    out = tmp_path / "out"
    review_export.run(results.root, out)
    assert "Erika Mustermann" in (out / "index.html").read_text(encoding="utf-8")
    review_export.run(results.root, tmp_path / "shared", **settings)
    files = [path for path in (tmp_path / "shared").rglob("*") if path.is_file()]
    assert [path.name for path in files if b"Mustermann" in path.read_bytes()] == []
    assert "the results folder says why" in (tmp_path / "shared" / "index.html").read_text(encoding="utf-8")


def test_a_pseudonymous_export_holds_no_names_and_can_be_resolved(results: RunLayout, tmp_path: Path) -> None:
    out = tmp_path / "review"
    assert review_export.run(results.root, out, pseudonymise=True) == 1
    for path in out.rglob("*"):
        assert not any(word in path.name for word in ("flagged", "clean", "empty", "broken"))
    rows = worklist(out)
    assert rows[2]["problem"] == "could not be analysed or shown; the results folder says why"
    names = read_pseudonyms(results.pseudonyms_csv)
    assert {row["slide_id"] for row in rows} == set(names.values())
    before = digests(out)
    review_export.run(results.root, out, pseudonymise=True)
    assert digests(out) == before
    verdict = [
        "POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0))",
        "malignancy",
        "benign",
        "",
        "dr-a",
        "2026-01-31T09:30:00Z",
        "scores",
        "1",
        "1",
        "",
        "m",
        "",
    ]
    lines = [
        ",".join(COLUMNS_OF_VERDICTS),
        ",".join([names["B clean"], "region", f'"{verdict[0]}"', *verdict[1:], VERDICTS_VERSION]),
    ]
    (tmp_path / "verdicts.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    review_import.run([tmp_path / "verdicts.csv"], tmp_path / "labels.csv", results=results.root)
    assert read_labels(tmp_path / "labels.csv", DEFAULT_HEADS)[0].slide_id == "B clean"


def test_an_identifier_in_the_folder_deletes_the_page(results: RunLayout, tmp_path: Path) -> None:
    out = tmp_path / "review"
    review_export.run(results.root, out, identifiers=["Doe, Jane"])
    assert ReviewLayout(out).index.exists()
    with pytest.raises(UserError, match=r"'b CLEAN' in B clean\.geojson"):
        review_export.run(results.root, out, identifiers=["b CLEAN"])
    assert not ReviewLayout(out).index.exists()
    # An earlier export under the slides' own names is found too.
    with pytest.raises(UserError, match=r"'A flagged' in A flagged\.geojson"):
        review_export.run(results.root, out, pseudonymise=True)


@pytest.mark.parametrize(
    ("score", "footer", "problem"),
    [
        (float("nan"), {}, "expected scores from 0 to 1"),
        (1.5, {}, "expected scores from 0 to 1"),
        (-0.1, {}, "expected scores from 0 to 1"),
        (0.1, {"heads": [{"unknown": 1}]}, "expected scored tiles with their footer"),
    ],
)
def test_an_invalid_table_of_scores_fails_only_its_slide(
    results: RunLayout, tmp_path: Path, score: float, footer: dict[str, Any], problem: str
) -> None:
    add_scores(results, SlideEntry("B clean", tmp_path / "B clean.tif"), CLEAN | {(0, 0): score}, **footer)
    out = tmp_path / "review"
    assert review_export.run(results.root, out) == 1
    slides = {slide["id"]: slide for slide in facts_of(out)["slides"]}
    assert problem in slides["B clean"]["problem"]
    assert len(slides["A flagged"]["regions"]) == 4


def test_labels_that_only_the_training_config_knows_do_not_matter(results: RunLayout, tmp_path: Path) -> None:
    table = list(csv.DictReader(io.StringIO(results.slides_csv.read_text(encoding="utf-8"))))
    with results.slides_csv.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(row | {"malignancy": "HSIL"} for row in table)
    served = served_results(results.root, ServeSettings())
    review_export.run(results.root, tmp_path / "review")
    assert len(facts_of(tmp_path / "review")["slides"]) == len(served.slides) + 1 == 4


def test_regions_of_an_earlier_export_are_deleted_with_a_failed_slide(
    results: RunLayout, tmp_path: Path
) -> None:
    out = ReviewLayout(tmp_path / "review")
    review_export.run(results.root, out.root)
    first, *others = sorted(path.name for path in out.root.glob("*.geojson"))
    results.scores(first.removesuffix(".geojson")).unlink()
    assert review_export.run(results.root, out.root) == 1
    assert sorted(path.name for path in out.root.glob("*.geojson")) == others


def test_verdicts_saved_from_qupath_are_not_overwritten(results: RunLayout, tmp_path: Path) -> None:
    out = ReviewLayout(tmp_path / "review")
    review_export.run(results.root, out.root)
    path, *_ = sorted(out.root.glob("*.geojson"))
    saved = json.dumps({"type": "FeatureCollection", "features": []})  # as QuPath heads its files
    path.write_text(saved, encoding="utf-8")
    with pytest.raises(UserError, match="may hold verdicts from QuPath"):
        review_export.run(results.root, out.root)
    assert path.read_text(encoding="utf-8") == saved


def test_a_blinded_export_into_a_folder_with_scores_is_refused(results: RunLayout, tmp_path: Path) -> None:
    out = tmp_path / "review"
    review_export.run(results.root, out)
    with pytest.raises(UserError, match=r"worklist\.csv"):
        review_export.run(results.root, out, blinded_seed=3)


def test_scores_of_removed_slides_are_ignored(results: RunLayout, tmp_path: Path) -> None:
    add_scores(results, SlideEntry("B clean", tmp_path / "B clean.tif"), CLEAN, model_sha256="cd" * 32)
    results.scores("B clean").rename(results.scores("Z gone"))
    out = tmp_path / "review"
    assert review_export.run(results.root, out) == 1
    slides = {slide["id"]: slide for slide in facts_of(out)["slides"]}
    assert "expected a table" in slides["B clean"]["problem"]  # named, with the others still there
    assert len(slides["A flagged"]["regions"]) == 4


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="inkdot predict"):
        review_export.run(tmp_path, tmp_path / "review")


def test_scores_of_two_models_are_refused(results: RunLayout, tmp_path: Path) -> None:
    add_scores(results, SlideEntry("B clean", tmp_path / "B clean.tif"), CLEAN, model_sha256="cd" * 32)
    with pytest.raises(StorageError, match="another"):
        review_export.run(results.root, tmp_path / "review")


@pytest.mark.browser
@pytest.mark.parametrize("where", ["card", "surroundings", "zoomed"])
def test_the_scale_bar_agrees_with_a_square_of_known_size(
    results: RunLayout, tmp_path: Path, offline_page: "Page", where: str
) -> None:
    """The black squares are 50 µm wide; the bar must say the same, measured on the screen."""
    out = tmp_path / "review"
    review_export.run(results.root, out)
    offline_page.goto(ReviewLayout(out).index.as_uri())
    if where != "card":
        offline_page.keyboard.press("Enter")
        offline_page.wait_for_function("() => Inkdot.placeView.view().ready")
        offline_page.uncheck('[data-layer="outline"]')
    if where == "zoomed":
        offline_page.keyboard.press("+")
        offline_page.keyboard.press("+")
    box = offline_page.locator(".card .image" if where == "card" else "#context .viewer").first
    bar = box.locator(".scale")
    if where != "card":
        offline_page.wait_for_function(
            "() => { const { viewport } = Inkdot.placeView.view().seadragon;"
            " return viewport.getZoom(true) === viewport.getZoom(false); }"
        )
        offline_page.wait_for_timeout(300)  # it is drawn
    # Loaded is not yet drawn: images are decoded beside the page's own work.
    offline_page.wait_for_function("() => [...document.images].every((image) => image.complete)")
    offline_page.evaluate("() => Promise.all([...document.images].map((image) => image.decode()))")
    length_um = float(bar.get_attribute("data-um") or 0)
    bar_px = bar.locator(".scale-line").evaluate("(line) => line.getBoundingClientRect().width")
    shot = Image.open(io.BytesIO(box.screenshot())).convert("L")
    grey = np.asarray(shot)
    square_px = longest_run(grey[grey.shape[0] // 2] < 45)
    assert square_px * length_um / bar_px == pytest.approx(50, rel=0.02)


def longest_run(dark: np.ndarray) -> int:
    """Length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], dark.astype(int), [0]])))
    return int((edges[1::2] - edges[::2]).max())


@pytest.mark.parametrize("damage", ["truncated", "no Parquet", "other facts"])
def test_a_damaged_table_of_one_slide_costs_that_slide_alone(
    results: RunLayout, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = results.scores("A flagged")
    if damage == "other facts":
        write_table(path, pa.table({"x": [1]}), SCORES_VERSION, {})
    else:
        path.write_bytes(path.read_bytes()[:-400] if damage == "truncated" else b"not a table")
    assert review_export.run(results.root, tmp_path / "out") == 1
    # The reason stands in a table, whose lines break where the path is long.
    assert "A flagged.parquet: expected" in " ".join(capsys.readouterr().err.replace("│", " ").split())
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "B clean" in page
    overviews = 3  # the slide itself can be looked at all the same
    assert len(list((tmp_path / "out" / "tiles").glob("*.jpg"))) == overviews + 2 * len(CLEAN)


def with_patients(results: RunLayout) -> None:
    """Write patients into the results' slides.csv: P-001 has two slides."""
    entries = read_slides(results.slides_csv, heads=())
    patients = dict(
        zip([entry.slide_id for entry in entries], ("P-001", "P-001", "P-002", "P-003"), strict=True)
    )
    named = [replace(entry, patient_id=patients[entry.slide_id]) for entry in entries]
    write_text(results.slides_csv, manifest_text(named, DEFAULT_HEADS, results.root))


def test_the_case_is_shown_beside_its_slides_and_hidden_where_names_or_scores_are(
    results: RunLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_patients(results)
    named = {**FOUNDING, "primary_tumour": "</script><b>of Jane Doe", "signed_by": "Dr Doe", "note": "Doe"}
    cases = write_cases(tmp_path / "cases.csv", [named, {"patient_id": "P-777"}])

    review_export.run(results.root, tmp_path / "open", cases=cases)
    shown = {slide["id"]: slide.get("case", []) for slide in facts_of(tmp_path / "open")["slides"]}
    assert {name for name, rows in shown.items() if rows} == {"A flagged", "B clean"}
    rows = {row["label"]: row for row in shown["A flagged"]}
    assert (rows["CSF protein"]["value"], rows["CSF protein"]["range"]) == ("0.75 g/L", "< 0.5")
    assert rows["Known tumour"]["value"] == "</script><b>of Jane Doe"  # as text, escaped in the data block
    assert "</script><b>" not in (tmp_path / "open" / "index.html").read_text(encoding="utf-8")
    said = capsys.readouterr().err
    assert "cases: patient 'P-777' of cases.csv: no slide of this patient_id in slides.csv" in said
    assert "cases: patients 'P-002', 'P-003' of slides.csv: no row in cases.csv" in said

    review_export.run(results.root, tmp_path / "hidden", cases=cases, pseudonymise=True)
    # The facts alone: a script of the page has these three letters in a row.
    text = json.dumps(facts_of(tmp_path / "hidden"), ensure_ascii=False)
    assert "0.75 g/L" in text
    assert "Doe" not in json.dumps(facts_of(tmp_path / "hidden"))  # the image viewer in the page has a "Does"
    assert "P-001" not in text

    review_export.run(results.root, tmp_path / "blinded", cases=cases, blinded_seed=3)
    assert all("case" not in slide for slide in facts_of(tmp_path / "blinded")["slides"])
    assert "0.75 g/L" not in (tmp_path / "blinded" / "index.html").read_text(encoding="utf-8")
    assert "cases: not shown in a blinded review" in capsys.readouterr().err

    for blinded_seed in (None, 3):
        served = served_results(results.root, ServeSettings(cases=cases, blinded_seed=blinded_seed))
        assert ("0.75 g/L" in json.dumps(served.facts)) == (blinded_seed is None)
    hidden = served_results(results.root, ServeSettings(cases=cases, pseudonymise=True))
    assert "Doe" not in json.dumps(hidden.facts)


def test_a_wrong_table_of_cases_stops_before_anything_is_written(results: RunLayout, tmp_path: Path) -> None:
    cases = write_cases(tmp_path / "cases.csv", [{**FOUNDING, "csf_protein_g_per_l": "75"}])
    with pytest.raises(ManifestError, match=r"is it in mg/dL \(0\.75 g/L\)\?"):
        review_export.run(results.root, tmp_path / "out", cases=cases)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="--ranges: expected --cases beside it"):
        review_export.run(results.root, tmp_path / "out", ranges=tmp_path / "ranges.yaml")


@pytest.mark.browser
def test_the_case_panel_stays_as_the_reader_left_it(
    results: RunLayout, tmp_path: Path, offline_page: "Page"
) -> None:
    with_patients(results)
    named = {**FOUNDING, "primary_tumour": "<b>bold</b>"}
    review_export.run(results.root, tmp_path / "out", cases=write_cases(tmp_path / "cases.csv", [named]))
    offline_page.goto(ReviewLayout(tmp_path / "out").index.as_uri())
    panel = offline_page.locator("details.case")
    assert panel.get_by_text("<b>bold</b>").is_visible()
    assert panel.get_by_text("0.75 g/L").first.is_visible()
    further = panel.locator("details.case-further")
    assert not further.get_by_text("does not exclude large-cell").is_visible()
    further.locator("summary").click()
    assert further.get_by_text("does not exclude large-cell").is_visible()
    panel.locator("summary").first.click()
    names = offline_page.locator("#slides .slide-name")
    names.filter(has_text="B clean").click()
    assert not panel.get_by_text("0.75 g/L").first.is_visible()
    names.filter(has_text="C empty").click()
    assert panel.count() == 0

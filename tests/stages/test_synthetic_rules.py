"""What must hold on synthetic specimens from slide to page: the reference, the scale, the regions found, the words said."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from inkdot.config import config_from_mapping
from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import read_slides
from inkdot.records import Mpp
from inkdot.review.results.read_results import read_slide_results
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import predict, synth, tile
from inkdot.stages.review import export as review_export
from inkdot.storage.layout import RunLayout
from inkdot.storage.output_layouts import CohortLayout
from inkdot.storage.schemas import CLUSTER_SCORES_VERSION, CLUSTERS_VERSION
from inkdot.storage.tables.parquet_tables import read_table
from inkdot.storage.tables.predictions import read_predictions
from inkdot.synthetic.cohort.cohort_plan import plan_cohort
from inkdot.synthetic.cohort.truth import truth_table
from inkdot.synthetic.counterfactuals import with_precipitate
from inkdot.synthetic.rendering.scene_source import SceneSource, whole_image
from inkdot.synthetic.scenes import build_scene

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TUMOUR = ("small_nec", "large_nec")
SMALL_CELL_SEED, LARGE_CELL_SEED = 5, 12  # of lm-typical: rich in lymphocytes, several clusters
SPOT_MM = 0.8


@dataclass(frozen=True)
class MeasuredSlide:
    """One slide measured by ``inkdot tile``, beside its truth.

    Attributes:
        reference: What the footer says of the slide's lymphocytes.
        lymphocyte_um: True median diameter of the lymphocytes in focus.
        ratios: Per cluster with at least three tumour nuclei in focus: measured ratio to the lymphocytes.
        true_ratios: The same from the truth.
        nuclei: How many nuclei were outlined in each.
    """

    reference: dict[str, Any]
    lymphocyte_um: float
    ratios: np.ndarray
    true_ratios: np.ndarray
    nuclei: np.ndarray


def measured(folder: Path, preset: str, seed: int, mpp: float) -> MeasuredSlide:
    synth.run(preset, 1, seed, folder, spot_mm=SPOT_MM, mpp=mpp, workers=1)
    tile_mpp = max(mpp, 0.25)
    side = round(64 / tile_mpp)
    settings = {
        "preparation": "thinprep",
        "tiling": {"mpp": tile_mpp, "side_px": side, "stride_px": side},
        "morphometry": {"clusters": 40},
    }
    assert tile.run(folder / "slides.csv", config_from_mapping(settings), folder / "run") == 0
    (path,) = (folder / "run" / "clusters").glob("*.parquet")
    table, footer = read_table(path, CLUSTERS_VERSION)
    cells = [
        row
        for row in pq.read_table(folder / "truth" / path.name, partitioning=None).to_pylist()
        if row["nuclear_diameter_um"] is not None and row["in_focus"]
    ]
    lymphocytes = [row["nuclear_diameter_um"] for row in cells if row["class"] == "lymphocyte"]
    lymphocyte_um = float(np.median(lymphocytes)) if lymphocytes else np.nan
    found: list[tuple[float, float, int]] = []
    for row in table.to_pylist():
        if row["diameter_ratio"] is None or row["measured_nuclei"] < 3:
            continue
        outline = shapely.from_wkt(row["geometry"])
        own = [
            cell["nuclear_diameter_um"]
            for cell in cells
            if cell["class"] in TUMOUR and outline.contains(shapely.Point(cell["x_l0_px"], cell["y_l0_px"]))
        ]
        if len(own) >= 3:
            true = float(np.median(own)) / lymphocyte_um
            found.append((row["diameter_ratio"], true, row["measured_nuclei"]))
    ratios, true_ratios, nuclei = np.array(found).reshape(-1, 3).T
    return MeasuredSlide(footer["lymphocyte_reference"], lymphocyte_um, ratios, true_ratios, nuclei)  # type: ignore[arg-type]


def test_the_reference_is_the_lymphocytes_size_and_ratios_are_the_slides_own(tmp_path: Path) -> None:
    small = measured(tmp_path / "small", "lm-typical", SMALL_CELL_SEED, 0.5)
    large = measured(tmp_path / "large", "lm-typical", LARGE_CELL_SEED, 0.5)
    for found in (small, large):
        assert found.reference["lymphocytes"] >= 20
        assert found.reference["diameter_um"] == pytest.approx(found.lymphocyte_um, rel=0.08)
        assert len(found.ratios) >= 3
        assert np.median(found.ratios) == pytest.approx(np.median(found.true_ratios), rel=0.12)
    # Small and large in the right order on medians; single clusters overlap, and nothing is cut off at any value.
    assert np.median(small.ratios) < np.median(large.ratios)


def test_without_twenty_lymphocytes_there_is_no_reference(tmp_path: Path) -> None:
    found = measured(tmp_path, "lm-minimal", 1, 0.5)
    assert found.reference["lymphocytes"] < 20
    assert found.reference["diameter_um"] is None
    assert found.reference["reason"].startswith("lymphocyte reference unavailable: ")
    assert len(found.ratios) == 0


def test_ratios_do_not_depend_on_the_scanner(tmp_path: Path) -> None:
    at_scale = {
        mpp: measured(tmp_path / str(mpp), "lm-typical", SMALL_CELL_SEED, mpp) for mpp in (0.22, 0.25, 0.5)
    }
    assert all(len(found.ratios) >= 3 for found in at_scale.values())
    # By nuclei: of a single small cluster other nuclei are outlined at each scale, and its median moves by a sixth.
    means = [float(np.average(found.ratios, weights=found.nuclei)) for found in at_scale.values()]
    references = [found.reference["diameter_um"] for found in at_scale.values()]
    assert max(means) / min(means) < 1.06
    assert max(references) / min(references) < 1.03


def test_tumour_is_among_the_first_thirty_regions_with_and_without_precipitate(
    repository: Path, tmp_path: Path
) -> None:
    clean, loaded = tmp_path / "clean", tmp_path / "loaded"
    synth.run("lm-minimal", 2, 3, clean, spot_mm=1.0, mpp=0.5, workers=1)
    entries = read_slides(clean / "slides.csv", DEFAULT_HEADS)
    (loaded / "slides").mkdir(parents=True)
    for name in ("slides.csv", "labels.csv"):
        (loaded / name).write_bytes((clean / name).read_bytes())
    for plan, entry in zip(plan_cohort("lm-minimal", 2, 3, spot_mm=1.0, mpp=0.5), entries, strict=True):
        stain = plan.stain()
        scene = with_precipitate(build_scene(plan, plan.draw_patient(), stain), seed=1)
        source = SceneSource(scene, 0.5, stain, plan.scanner_properties(), seed=1)
        write_array_pyramid(
            loaded / "slides" / entry.path.name,
            whole_image(source),
            mpp=plan.stated_mpp,
            description='{"synthetic": true}',
        )
    ranks = {folder.name: first_hits(folder, repository / "models" / "demo") for folder in (clean, loaded)}
    assert len(ranks["clean"]) == 2
    assert all(1 <= rank <= 30 for rank in ranks["clean"] + ranks["loaded"]), ranks


def test_morphology_is_called_on_what_is_sure_and_left_open_on_mixtures(
    repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "slides").mkdir()
    lines = ["slide_id,path,patient_id,preparation,stain,synthetic"]
    truth: dict[str, list[dict[str, Any]]] = {}
    for tumour in ("small_cell", "large_cell", "mixed"):
        for usual in plan_cohort("lm-typical", 3, 77, spot_mm=1.0, mpp=0.5):
            plan, name = replace(usual, tumour=tumour), f"synthetic_{tumour}_{usual.number}"
            stain = plan.stain()
            scene = build_scene(plan, plan.draw_patient(), stain)
            truth[name] = truth_table(scene, 0.5).to_pylist()
            write_array_pyramid(
                tmp_path / "slides" / f"{name}.tif",
                whole_image(SceneSource(scene, 0.5, stain, plan.scanner_properties(), seed=1)),
                mpp=Mpp.square(0.5),
                description='{"synthetic": true}',
            )
            lines.append(f"{name},slides/{name}.tif,{name},thinprep,pap,true")
    (tmp_path / "slides.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    results = RunLayout(tmp_path / "results")
    assert predict.run([tmp_path / "slides.csv"], repository / "models" / "demo", results.root) == 0

    calls = {row["slide_id"]: row["further_calls"] for row in read_predictions(results.predictions_csv)}
    for tumour, never in (("small_cell", "large-cell-like"), ("large_cell", "small-cell-like")):
        of_kind = [call for name, call in calls.items() if tumour in name]
        assert not any(never in call for call in of_kind), calls
    assert any("small-cell-like" in call for call in calls.values()), calls
    assert any("large-cell-like" in call for call in calls.values()), calls
    mixed = [call for name, call in calls.items() if "mixed" in name and call]
    assert mixed
    assert all("indeterminate" in call for call in mixed), calls

    # Large cells with next to no cytoplasm, which a rule on N:C alone would call small.
    p_small = [
        row["p.morphology.small_cell"]
        for name in truth
        if "large_cell" in name
        for row in read_table(results.cluster_scores(name), CLUSTER_SCORES_VERSION)[0].to_pylist()
        if row["tiles"] and nc_ratio_inside(row["geometry"], truth[name]) > 0.85
    ]
    assert len(p_small) >= 5
    assert np.mean(np.array(p_small) >= 0.75) <= 0.2, p_small


def nc_ratio_inside(region: str, cells: list[dict[str, Any]]) -> float:
    """Median N:C of the large tumour cells in an outline, 0 where there are fewer than three."""
    outline = shapely.from_wkt(region)
    own = [
        cell["nc_ratio"]
        for cell in cells
        if cell["class"] == "large_nec"
        and cell["nc_ratio"] is not None
        and outline.contains(shapely.Point(cell["x_l0_px"], cell["y_l0_px"]))
    ]
    return float(np.median(own)) if len(own) >= 3 else 0.0


def first_hits(folder: Path, model: Path) -> list[int]:
    """Per slide, the rank of the first place that shows tumour; 0 where none does."""
    results = RunLayout(folder / "results")
    assert predict.run([folder / "slides.csv"], model, results.root) == 0
    found: list[int] = []
    for entry in read_slides(folder / "slides.csv", DEFAULT_HEADS):
        reviewed = read_slide_results(results, entry.slide_id, entry.slide_id)
        target = pq.read_table(results.tiles(entry.slide_id), partitioning=None)[
            "target.malignancy.malignant"
        ]
        positive = {row for row, value in enumerate(target.to_pylist()) if value is not None and value > 0.5}
        regions = reviewed.ranking(30, 0.75).regions
        found.append(next((region.rank for region in regions if positive & set(region.rows)), 0))
    return found


def test_a_missed_patient_gets_nothing_flagged_and_never_a_word_of_negative(
    repository: Path, tmp_path: Path
) -> None:
    cohort, results = CohortLayout(tmp_path / "new"), RunLayout(tmp_path / "results")
    synth.run("lm-missed", 4, 21, cohort.root, spot_mm=1.0, mpp=0.5, workers=1)
    assert predict.run([cohort.slides_csv], repository / "models" / "demo", results.root) == 0
    review_export.run(results.root, tmp_path / "review")
    calls = [row["call"] for row in read_predictions(results.predictions_csv)]
    # The patients have tumour, the slides none; a single false alarm is the model's, not the words'.
    assert calls.count("nothing flagged") >= 3, calls
    written = [results.predictions_csv, *(path for path in (tmp_path / "review").iterdir() if path.is_file())]
    for path in written:
        text = path.read_text(encoding="utf-8")
        if path.name == "index.html":
            # What the page says of slides: "negative" is also a word of its scripts, and one that a reader may choose.
            facts = re.search(r'id="facts">(.*?)</script>', text, re.DOTALL)
            assert facts is not None
            text = json.dumps(json.loads(facts[1])["slides"])
        assert "negative" not in text.lower().replace("not negative", ""), path.name

"""The same slide with one thing changed, through all stages of `predict` with the model that is shipped."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import shapely

from inkdot.records import Mpp
from inkdot.review.results.read_results import read_slide_results
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import predict
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import CLUSTERS_VERSION
from inkdot.storage.tables.parquet_tables import read_table
from inkdot.storage.tables.predictions import read_predictions
from inkdot.synthetic.cells.scene import Scene
from inkdot.synthetic.cohort.cohort_plan import SlidePlan, plan_cohort
from inkdot.synthetic.cohort.truth import MALIGNANT, truth_table
from inkdot.synthetic.counterfactuals import without_class, without_tumour
from inkdot.synthetic.rendering.extended_focus import FusedSource
from inkdot.synthetic.rendering.scene_source import SceneSource, whole_image
from inkdot.synthetic.scenes import build_scene

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

MPP = 0.5


class Cohort:
    """Slides painted one by one, then scored together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: list[str] = []
        (folder / "slides").mkdir(parents=True)

    def paint(self, name: str, plan: SlidePlan, scene: Scene, heights_um: Sequence[float] = (0.0,)) -> None:
        """One slide, focused at one height, or fused from several."""
        args = scene, MPP, plan.stain(), plan.scanner_properties(), 1
        source = SceneSource(*args, heights_um[0]) if len(heights_um) == 1 else FusedSource(*args, heights_um)
        path = self._folder / "slides" / f"{name}.tif"
        write_array_pyramid(path, whole_image(source), mpp=Mpp.square(MPP), description='{"synthetic": true}')
        self._names.append(name)

    def scored(self, model: Path) -> RunLayout:
        table = self._folder / "slides.csv"
        rows = [f"{name},slides/{name}.tif,thinprep,pap" for name in self._names]
        table.write_text("\n".join(["slide_id,path,preparation,stain", *rows]) + "\n", encoding="utf-8")
        results = RunLayout(self._folder / "results")
        assert predict.run([table], model, results.root, predict.PredictSettings(slide_images=False)) == 0
        return results


def lines(results: RunLayout) -> dict[str, dict[str, str]]:
    return {row["slide_id"]: row for row in read_predictions(results.predictions_csv)}


@pytest.fixture
def model(repository: Path) -> Path:
    return repository / "models" / "demo"


def test_without_its_tumour_a_slide_has_a_lower_score(model: Path, tmp_path: Path) -> None:
    cohort = Cohort(tmp_path)
    for plan in plan_cohort("lm-typical", 3, 5, spot_mm=0.8, mpp=MPP):
        scene = build_scene(plan, plan.draw_patient(), plan.stain())
        assert any(cell.kind in MALIGNANT for cell in scene.cells)
        cohort.paint(f"full{plan.number}", plan, scene)
        cohort.paint(f"without{plan.number}", plan, without_tumour(scene))
    said = lines(cohort.scored(model))
    scores = [(float(said[f"full{n}"]["score"]), float(said[f"without{n}"]["score"])) for n in range(3)]
    assert all(without < full for full, without in scores), scores
    assert all(
        int(said[f"without{n}"]["flagged_tiles"]) < int(said[f"full{n}"]["flagged_tiles"]) for n in range(3)
    )


def test_taking_choroid_plexus_away_raises_no_score(model: Path, tmp_path: Path) -> None:
    cohort = Cohort(tmp_path)
    numbers: list[int] = []
    for plan in plan_cohort("ventricular", 6, 2, spot_mm=0.8, mpp=MPP):
        scene = build_scene(plan, plan.draw_patient(), plan.stain())
        if len(numbers) < 3 and any(cell.kind == "choroid" for cell in scene.cells):
            cohort.paint(f"full{plan.number}", plan, scene)
            cohort.paint(f"without{plan.number}", plan, without_class(scene, "choroid"))
            numbers.append(plan.number)
    assert len(numbers) == 3
    said = lines(cohort.scored(model))
    scores = [(float(said[f"full{n}"]["score"]), float(said[f"without{n}"]["score"])) for n in numbers]
    # The noise of the camera is drawn anew where a tile became empty: a hundredth may come of that.
    assert all(without <= full + 0.01 for full, without in scores), scores


def test_what_lies_ten_micrometres_up_is_found_in_the_fused_stack_and_one_plane_says_what_it_lacks(
    model: Path, tmp_path: Path
) -> None:
    """One tumour cluster, 10 µm above all other cells.

    In one plane it is a dark blur (sigma 1.5 µm), which the model flags all the same: nothing is claimed about that. But the
    plane must say that the cluster is out of focus and that less of the slide can be judged.
    """
    plan = replace(plan_cohort("lm-minimal", 1, 7, spot_mm=0.8, mpp=MPP)[0], only_confounders="none")
    flat = build_scene(plan, plan.draw_patient(), plan.stain())
    cells = tuple(replace(cell, z_um=10.0 if cell.kind in MALIGNANT else 0.0) for cell in flat.cells)
    scene = replace(flat, cells=cells)
    cohort = Cohort(tmp_path)
    cohort.paint("plane", plan, scene)
    cohort.paint("fused", plan, scene, (0.0, 4.5, 10.0))
    results = cohort.scored(model)
    truth = [row for row in truth_table(scene, MPP).to_pylist() if row["class"] in MALIGNANT]
    tumour = shapely.points([(row["x_l0_px"], row["y_l0_px"]) for row in truth])

    def cluster_with_tumour(name: str) -> dict[str, Any]:
        """The row of the cluster table that holds most tumour cells."""
        table, _ = read_table(results.clusters(name), CLUSTERS_VERSION)
        outlines = shapely.from_wkt(table["geometry"].to_pylist())
        inside = [int(shapely.intersects(outline, tumour).sum()) for outline in outlines]
        assert max(inside) > 0.8 * len(tumour)
        return table.to_pylist()[inside.index(max(inside))]

    regions = read_slide_results(results, "fused", "fused").ranking(30, 0.75).regions
    assert any(
        region.flagged and shapely.intersects(shapely.from_wkt(region.wkt), tumour).any()
        for region in regions
    )
    blurred, sharp = cluster_with_tumour("plane"), cluster_with_tumour("fused")
    assert blurred["edge_um"] > 1.4 * sharp["edge_um"]
    assert (blurred["in_focus"], sharp["in_focus"]) == (False, True)
    one, all_planes = lines(results)["plane"], lines(results)["fused"]
    assert float(one["assessable_mm2"]) < float(all_planes["assessable_mm2"])
    assert float(one["unassessable_fraction"]) > float(all_planes["unassessable_fraction"])
    assert int(one["nuclei_in_focus"]) < int(all_planes["nuclei_in_focus"]) - 0.5 * len(tumour)

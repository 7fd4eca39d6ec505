"""The scale from the red cells of a slide: offered, never used, and a warning where they contradict the stated one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixtures.red_cell_slides import red_cell_pixels

from inkdot.config import default_config
from inkdot.labels import DEFAULT_HEADS
from inkdot.records import Mpp, SlideEntry
from inkdot.slides import open_slide
from inkdot.slides.array_slide import ArraySlide, pyramid_of
from inkdot.synthetic.cells.scene import Scene
from inkdot.synthetic.cells.shapes import area_um2
from inkdot.synthetic.cohort.cohort_plan import plan_cohort
from inkdot.synthetic.rendering.scene_source import SceneSource, whole_image
from inkdot.synthetic.scenes import build_scene
from inkdot.tiling.cut_slide import cut_slide
from inkdot.tiling.scale_check import measure_red_cells, scale_warnings

GRID = default_config("thinprep").tiling.model_copy(update={"mode": "grid", "mpp": 0.5, "side_px": 128})
SPARSE = ("csf-lobular-pap2", "csf-lobular-mgg2")
OTHERS = ("csf-breast-pap-crop", "csf-breast-mgg-crop", "smear-net-giemsa-crop", "smear-glioma-squash-crop")


def painted(mpp: float, cells: int = 90, stated: float | None = None) -> ArraySlide:
    """A slide with red cells; it states its true scale or another one."""
    return ArraySlide(pyramid_of(red_cell_pixels(mpp, cells), (1, 4)), stated or mpp)


@pytest.mark.parametrize("mpp", [0.25, 0.5])
def test_the_scale_is_estimated_with_an_interval_whatever_is_stated(mpp):
    found = [measure_red_cells(painted(mpp, stated=stated), "cytospin") for stated in (mpp, 1.0)]
    assert found[0] == found[1]
    estimate = found[0].estimate()
    assert estimate is not None
    assert estimate.mpp == pytest.approx(mpp, rel=0.05)
    assert estimate.low < 0.75 * mpp
    assert estimate.high > 1.2 * mpp


@pytest.mark.parametrize(("factor", "says"), [(0.5, "3.7"), (1.0, ""), (2.0, "15.0")])
def test_a_wrong_scale_is_a_warning_of_the_slide(factor, says):
    slide = painted(0.25, stated=0.25 * factor)
    warnings = cut_slide(slide, GRID.model_copy(update={"mpp": 0.5}), DEFAULT_HEADS, "cytospin").warnings
    doubts = [text for text in warnings if "red cells measure" in text]
    assert len(doubts) == bool(says)
    if says:
        assert float(doubts[0].split()[3]) == pytest.approx(float(says), rel=0.05)
        assert "check the µm/px" in doubts[0]


def test_sections_few_cells_and_clear_glass_give_no_estimate():
    assert measure_red_cells(painted(0.25), "section").reason == "red cells of sections are cut"
    assert "needed" in measure_red_cells(painted(0.25, cells=12), "cytospin").reason
    assert measure_red_cells(painted(0.25, cells=0), "cytospin").reason == "0 found, 20 needed"
    black = ArraySlide(np.zeros((1200, 1200, 3), np.uint8), 0.25)
    assert measure_red_cells(black, None).reason == "not a bright-field slide"


def synthetic(preset: str, seed: int, mpp: float) -> tuple[ArraySlide, Scene]:
    plan = plan_cohort(preset, 1, seed, 1.0, mpp)[0]
    stain = plan.stain()
    scene = build_scene(plan, plan.draw_patient(), stain)
    rgb = whole_image(SceneSource(scene, mpp, stain, plan.scanner_properties(), seed))
    return ArraySlide(pyramid_of(rgb, (1, 4)), mpp, synthetic=True), scene


@pytest.mark.slow
@pytest.mark.parametrize("mpp", [0.25, 0.5])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_synthetic_red_cells_have_their_true_size_and_are_not_doubted(seed: int, mpp: float):
    slide, scene = synthetic("traumatic", seed, mpp)
    found = measure_red_cells(slide, "thinprep")
    true = [
        2.0 * np.sqrt(area_um2(cell.cytoplasm.outline) / np.pi)
        for cell in scene.cells
        if cell.kind == "red_cell" and cell.cytoplasm is not None
    ]
    assert found.diameter_px is not None
    assert found.diameter_px * mpp == pytest.approx(np.median(true), rel=0.04)
    assert scale_warnings(slide, found) == ()


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["normal", "pleocytosis", "ventricular", "lm-typical", "laboratories"])
def test_other_synthetic_cells_are_not_taken_for_red_cells(preset: str):
    slide, _ = synthetic(preset, 1, 0.25)
    assert scale_warnings(slide, measure_red_cells(slide, "thinprep")) == ()


def real(folder: Path, name: str, factor: float = 1.0) -> SlideEntry:
    path = folder / "csf" / f"{name}.tif"
    entry = SlideEntry(name, path)
    slide = open_slide(entry)
    mpp = slide.info.mpp
    slide.close()
    return replace(entry, mpp=Mpp(type(mpp.x)(mpp.x * factor), type(mpp.y)(mpp.y * factor)))


@pytest.mark.real_data
@pytest.mark.parametrize("name", SPARSE)
def test_real_red_cells_agree_with_the_scanner_and_not_with_half_or_twice_its_scale(
    real_data: Path, name: str
):
    for factor in (0.5, 1.0, 2.0):
        slide = open_slide(real(real_data, name, factor))
        found = measure_red_cells(slide, "cytospin")
        assert found.cells >= 30
        estimate = found.estimate()
        assert estimate is not None
        assert estimate.low < 0.2528 < estimate.high
        assert bool(scale_warnings(slide, found)) is (factor != 1.0)
        slide.close()


@pytest.mark.real_data
@pytest.mark.parametrize("name", OTHERS)
def test_dense_fluid_and_smears_are_not_doubted(real_data: Path, name: str):
    slide = open_slide(real(real_data, name))
    assert scale_warnings(slide, measure_red_cells(slide, "smear")) == ()
    slide.close()

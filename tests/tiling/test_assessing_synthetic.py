"""Selftest: what is named unassessable, and what inadequate, on synthetic slides with their truth."""

from dataclasses import replace

import numpy as np
import pytest

from inkdot.config import default_config
from inkdot.labels import DEFAULT_HEADS
from inkdot.slides.array_slide import ArraySlide, pyramid_of
from inkdot.synthetic.cells.scene import Scene
from inkdot.synthetic.cohort.cohort_plan import plan_cohort
from inkdot.synthetic.rendering.scene_source import SceneSource, whole_image
from inkdot.synthetic.scenes import build_scene
from inkdot.tiling.cut_slide import cut_slide
from inkdot.tiling.foreground.find_foreground import find_foreground
from inkdot.tiling.foreground.focus import WINDOW_UM
from inkdot.tiling.foreground.foreground_classes import ForegroundClass

pytestmark = pytest.mark.slow

MPP = 0.5
GRID = default_config("thinprep").tiling.model_copy(
    update={"mode": "grid", "mpp": MPP, "side_px": 128, "stride_px": 64}
)
NO_CELLS = {"precipitate", "apoptotic_body"}


def scanned(preset: str, seed: int, confounders: str, spot_mm: float = 1.5) -> tuple[ArraySlide, Scene]:
    plan = replace(plan_cohort(preset, 1, seed, spot_mm, MPP)[0], only_confounders=confounders)
    stain = plan.stain()
    scene = build_scene(plan, plan.draw_patient(), stain)
    rgb = whole_image(SceneSource(scene, MPP, stain, plan.scanner_properties(), seed))
    return ArraySlide(pyramid_of(rgb, (1, 4)), MPP, synthetic=True), scene


@pytest.mark.parametrize("confounders", ["none", "precipitate", "pen_mark,air_bubble,debris,fibre"])
@pytest.mark.parametrize(
    ("preset", "adequate"), [("inadequate", False), ("normal", True), ("lm-minimal", True)]
)
def test_too_few_cells_are_told_from_few_whatever_else_lies_there(preset, adequate, confounders):
    for seed in (1, 2):
        slide, scene = scanned(preset, seed, confounders)
        said = cut_slide(slide, GRID, DEFAULT_HEADS, "thinprep").assessment
        cells = sum(bool(cell.nuclei) and cell.kind not in NO_CELLS for cell in scene.cells)
        assert said.adequate is adequate, (seed, cells, said)
        if adequate:
            assert said.nuclei == pytest.approx(cells, rel=0.3)


def test_windows_out_of_focus_are_told_from_sharp_ones():
    """By an AUC over windows: a nucleus within 3 µm of the plane against none within 6 µm."""
    sharp: list[float] = []
    blurred: list[float] = []
    for seed in (1, 2, 3):
        slide, scene = scanned("lm-typical", seed, "out_of_focus_band")
        foreground = find_foreground(slide, GRID)
        assert foreground.focus is not None
        edges = foreground.focus.edges_um()
        heights: dict[tuple[int, int], list[float]] = {}
        for cell in scene.cells:
            if cell.nuclei and cell.kind not in NO_CELLS:
                heights.setdefault((int(cell.y_um // WINDOW_UM), int(cell.x_um // WINDOW_UM)), []).append(
                    abs(cell.z_um)
                )
        for place, away in heights.items():
            if not np.isnan(edges[place]):
                (sharp if min(away) <= 3.0 else blurred if min(away) > 6.0 else []).append(
                    float(edges[place])
                )
    assert len(sharp) > 100
    assert len(blurred) > 20
    auc = np.mean([np.mean(one > np.array(sharp)) + 0.5 * np.mean(one == np.array(sharp)) for one in blurred])
    assert auc > 0.98
    assert np.mean(np.array(sharp) > GRID.artefacts.largest_edge_um) < 0.02


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_pen_reaches_the_network_and_little_else_is_called_pen(seed):
    """A stroke as drawn, in whatever colour the seed gives it."""
    slide, scene = scanned("lm-typical", seed, "pen_mark")
    (pen,) = [thing for thing in scene.backdrop if thing.kind == "pen_mark"]
    cut = cut_slide(slide, GRID, DEFAULT_HEADS, "thinprep")
    frame = cut.foreground.frame
    x, y = ((np.arange(n, dtype=np.float32) + 0.5) * frame.mpp for n in (frame.width_px, frame.height_px))
    ink = np.asarray(pen.optical_density(x, y)).max(axis=2)
    assert (cut.foreground.classes[ink > 1.0] == ForegroundClass.PEN).mean() > 0.99
    assert not cut.foreground.mask[ink > 0.3].any()
    assert (cut.foreground.classes[ink == 0.0] == ForegroundClass.PEN).mean() < 0.01

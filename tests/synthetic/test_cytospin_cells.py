"""Cells on cytospins: what is rendered is measured again."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from inkdot.synthetic.cells.cytospin_cells import (
    draw_cytospin_red_cell,
    draw_segmented_neutrophil,
    draw_smudged_cell,
    signet_ring,
    with_blebs,
)
from inkdot.synthetic.cells.cytospin_recipes import CYTOSPIN_RECIPES
from inkdot.synthetic.cells.draw_cells import Preparation, draw_cell
from inkdot.synthetic.cells.scene import Cell, Nucleus, Scene
from inkdot.synthetic.cells.shapes import ellipse, equivalent_diameter_um
from inkdot.synthetic.cohort.cohort_plan import plan_cohort
from inkdot.synthetic.cohort.truth import truth_table
from inkdot.synthetic.rendering.csf_stains import reference_csf_stain
from inkdot.synthetic.rendering.scanner import Scanner
from inkdot.synthetic.rendering.scene_source import SceneSource, whole_image
from inkdot.synthetic.scenes import build_scene

MPP = 0.125
SIDE_UM = 40.0
PREPARATION = Preparation()
CAMERA = Scanner("test", MPP, 1.0, 0.0, 0.1, 0.0, 0.0, 0.0, 90, "444")


def density(cells: Sequence[Cell], *, squeezed: bool = True) -> np.ndarray:
    """Optical density (R, G, B) around cells in the middle of a field of 40 µm, MGG stain."""
    middle = [replace(cell, x_um=cell.x_um + 20.0, y_um=cell.y_um + 20.0, z_um=0.0) for cell in cells]
    stain = reference_csf_stain("mgg")
    scene = Scene(SIDE_UM, SIDE_UM, tuple(middle), squeezed=squeezed)
    rgb = whole_image(SceneSource(scene, MPP, stain, CAMERA, seed=1)).astype(float)
    return -np.log10(np.maximum(rgb, 1.0) / 243.0)


def tumour_cell(rng: np.random.Generator) -> Cell:
    recipe = replace(CYTOSPIN_RECIPES["adenocarcinoma"], p_vacuoles=0.0, p_vague_edge=0.0, p_naked=0.0)
    return draw_cell("adenocarcinoma", recipe, PREPARATION, rng)


def contour_of(mask: np.ndarray) -> np.ndarray:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return max(contours, key=len)


def spikes_of(mask: np.ndarray) -> int:
    """Local maxima of the radius around a mask, at least 2.5 % above the mean around them."""
    points = contour_of(mask)[:, 0].astype(float)
    away = np.hypot(*(points - points.mean(axis=0)).T)
    angle = np.arctan2(*(points - points.mean(axis=0)).T)
    order = np.argsort(angle)
    fine = np.interp(np.linspace(-np.pi, np.pi, 256), angle[order], away[order])
    smooth = np.convolve(np.tile(fine, 3), np.ones(7) / 7, mode="same")[256:512]
    above = smooth > 1.025 * np.convolve(np.tile(smooth, 3), np.ones(41) / 41, mode="same")[256:512]
    return int((np.diff(np.append(above, above[0]).astype(int)) == 1).sum())


@pytest.mark.parametrize("diameter", [5.0, 6.5])
def test_nuclei_of_five_micrometres_are_rendered_at_their_size(diameter: float) -> None:
    nucleus = Nucleus(0.0, 0.0, ellipse(diameter, 1.0, 0.0), 1.0, "granular")
    mask = density([Cell("small_nec", 0.0, 0.0, 0.0, (nucleus,))])[..., 1] > 0.2
    assert 2.0 * np.sqrt(mask.sum() / np.pi) * MPP == pytest.approx(diameter, abs=0.2)


def test_tumour_nuclei_start_at_five_micrometres() -> None:
    smallest: list[float] = []
    for seed in range(8):
        plan = plan_cohort("csf-cytospin-small-cell", 1, seed, 1.5, 1.0)[0]
        patient = plan.draw_patient()
        truth = truth_table(build_scene(plan, patient, plan.stain()), 1.0).to_pylist()
        sizes = [
            r["nuclear_diameter_um"] for r in truth if r["class"] == "small_nec" and r["state"] == "intact"
        ]
        smallest.append(min(sizes) / patient.preparation.size)
        assert np.median(sizes) > 7.0
    assert min(smallest) < 6.0
    assert min(smallest) > 3.5


def test_crenated_red_cells_have_spikes_and_the_others_none() -> None:
    rng = np.random.default_rng(1)
    smooth = [density([draw_cytospin_red_cell(PREPARATION, rng, 0.0)])[..., 1] > 0.06 for _ in range(8)]
    spiky = [density([draw_cytospin_red_cell(PREPARATION, rng, 1.0)])[..., 1] > 0.06 for _ in range(8)]
    diameters = [2.0 * np.sqrt(mask.sum() / np.pi) * MPP for mask in (*smooth, *spiky)]
    assert np.mean(diameters) == pytest.approx(7.4, abs=0.5)
    assert max(spikes_of(mask) for mask in smooth) <= 3
    counts = [spikes_of(mask) for mask in spiky]
    assert min(counts) >= 7
    assert max(counts) <= 14


def test_neutrophils_have_as_many_lobes_as_drawn() -> None:
    rng = np.random.default_rng(2)
    right, counts = 0, set[int]()
    for _ in range(20):
        cell = draw_segmented_neutrophil(PREPARATION, rng)
        drawn = sum(nucleus.chromatin == "granular" for nucleus in cell.nuclei)
        dark = density([cell])[..., 1] > 0.29  # threads are paler
        # Lobes that touch are told apart by their middles, the farthest from any border.
        inside = cv2.distanceTransform(dark.astype(np.uint8), cv2.DIST_L2, 5)
        lobes = cv2.connectedComponents((inside > 0.5 * inside.max()).astype(np.uint8))[0] - 1
        right += lobes == drawn
        counts.add(lobes)
    assert right >= 17
    assert {3, 4, 5} <= counts


def test_blebs_make_the_border_ragged() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        cell = tumour_cell(rng)
        plain, ruffled = (density([one])[..., 1] > 0.06 for one in (cell, with_blebs(cell, rng)))
        solid = [
            cv2.contourArea(contour_of(mask)) / cv2.contourArea(cv2.convexHull(contour_of(mask)))
            for mask in (plain, ruffled)
        ]
        assert solid[0] > 0.94
        assert solid[1] < 0.92
        assert ruffled.sum() > plain.sum()
        assert cell.cytoplasm is not None
        assert len(with_blebs(cell, rng).blebs) > 15


def test_a_signet_ring_cell_has_a_hole_and_a_crescent_at_its_border() -> None:
    rng = np.random.default_rng(4)
    for _ in range(6):
        cell = signet_ring(tumour_cell(rng), rng)
        green = density([cell])[..., 1]
        contour = contour_of(green > 0.08)
        body = cv2.drawContours(np.zeros(green.shape, np.uint8), [contour], -1, 1, -1) > 0
        hole, nucleus = body & (green < 0.10), body & (green > 0.7 * np.quantile(green[body], 0.98))
        assert 0.2 < hole.sum() / body.sum() < 0.8
        radius = np.sqrt(body.sum() / np.pi)
        centre = np.argwhere(body).mean(axis=0)
        assert np.hypot(*(np.argwhere(nucleus).mean(axis=0) - centre)) > 0.4 * radius
        (_, _), sides, _ = cv2.minAreaRect(np.argwhere(nucleus).astype(np.float32))
        assert max(sides) > 1.2 * min(sides)


def test_nuclei_on_each_other_absorb_less_than_their_sum() -> None:
    """On the real dense slides one percent of the stained pixels is 1.5 times as dense as the median nucleus, and none twice."""
    outline = ellipse(12.0, 1.0, 0.0)
    one = Cell("large_nec", 0.0, 0.0, 0.0, (Nucleus(0.0, 0.0, outline, 1.0, "smudged"),))
    middle = np.s_[150:170, 150:170, 1]
    single = np.median(density([one])[middle])
    squeezed = np.median(density([one, one])[middle])
    added = np.median(density([one, one], squeezed=False)[middle])
    assert added / single == pytest.approx(2.0, abs=0.1)
    assert squeezed / single == pytest.approx(1.41, abs=0.08)
    assert np.abs(density([one]) - density([one], squeezed=False)).max() < 0.02  # alone: unchanged


def test_lymphocytes_are_no_black_discs() -> None:
    rng = np.random.default_rng(5)
    for _ in range(12):
        cell = draw_cell("lymphocyte", CYTOSPIN_RECIPES["lymphocyte"], PREPARATION, rng)
        green = density([cell])[..., 1]
        nucleus = cv2.erode((green > 0.28).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        assert 0.33 < np.median(green[nucleus]) < 0.55
        assert green.max() < 0.85
        assert green[nucleus].std() / green[nucleus].mean() > 0.03
        assert 5.0 <= equivalent_diameter_um(cell.nuclei[0].outline) <= 11.01


def test_smudged_cells_are_large_and_pale() -> None:
    rng = np.random.default_rng(6)
    green = [density([draw_smudged_cell(PREPARATION, rng)])[..., 1] for _ in range(6)]
    areas = [(one > 0.18).sum() * MPP**2 for one in green]
    assert min(areas) > np.pi / 4.0 * 11.0**2
    assert np.median([np.median(one[one > 0.18]) for one in green]) < 0.38

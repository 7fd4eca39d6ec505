"""Counterfactual pairs by construction: the image differs only where the scene does."""

from dataclasses import replace

import numpy as np

from inkdot.records import RgbArray
from inkdot.synthetic.cells.scene import Scene
from inkdot.synthetic.cohort.cohort_plan import plan_cohort
from inkdot.synthetic.cohort.truth import MALIGNANT, true_labels, truth_table
from inkdot.synthetic.counterfactuals import with_precipitate, without_class, without_tumour
from inkdot.synthetic.rendering.scene_source import TILE_SIDE_PX, SceneSource
from inkdot.synthetic.scenes import build_scene

PLAN = replace(plan_cohort("lm-typical", 1, 4, spot_mm=0.5, mpp=0.5)[0], only_confounders="none")


def scene() -> Scene:
    return build_scene(PLAN, PLAN.draw_patient(), PLAN.stain())


def image(of: Scene, mpp: float = 0.5) -> RgbArray:
    source = SceneSource(of, mpp, PLAN.stain(), PLAN.scanner_properties(), seed=1)
    columns, rows = (-(-size // TILE_SIDE_PX) for size in source.size_px)
    whole = np.zeros((rows * TILE_SIDE_PX, columns * TILE_SIDE_PX, 3), np.uint8)
    for row in range(rows):
        for column in range(columns):
            tile = source.tile(column, row)
            top, left = row * TILE_SIDE_PX, column * TILE_SIDE_PX
            whole[top : top + TILE_SIDE_PX, left : left + TILE_SIDE_PX] = (
                source.pool[tile] if isinstance(tile, int) else tile
            )
    return whole


def test_without_tumour_only_tumour_is_gone() -> None:
    full = scene()
    twin = without_tumour(full)
    assert any(cell.kind in MALIGNANT for cell in full.cells)
    assert not any(cell.kind in MALIGNANT for cell in twin.cells)
    gone = [cell for cell in full.cells if cell not in twin.cells]
    before, after = image(full).astype(int), image(twin).astype(int)
    changed = np.abs(before - after).max(axis=2) > 24
    assert changed.any()
    ys, xs = np.nonzero(changed)
    near = np.zeros(len(xs), bool)
    for cell in gone:
        near |= np.hypot(xs * 0.5 - cell.x_um, ys * 0.5 - cell.y_um) < cell.reach_um + 10.0
    # The rest is noise: a tile that became empty comes from the pool of empty tiles.
    assert near.mean() > 0.999


def test_labels_of_a_twin_without_tumour_are_all_benign() -> None:
    labels = list(true_labels(truth_table(without_tumour(scene()), 0.5)))
    assert {label.label for label in labels} == {"benign"}


def test_classes_can_be_taken_out_and_precipitate_put_in() -> None:
    full = scene()
    assert not any(cell.kind == "lymphocyte" for cell in without_class(full, "lymphocyte").cells)
    loaded = with_precipitate(full, seed=1)
    grains = loaded.cells[len(full.cells) :]
    assert grains
    assert {cell.kind for cell in grains} == {"precipitate"}
    assert min(cell.z_um for cell in grains) > 3.0  # in another plane
    assert [a.label for a in true_labels(truth_table(loaded, 0.5))] == [
        a.label for a in true_labels(truth_table(full, 0.5))
    ]


def test_a_scene_is_the_same_scene_at_any_mpp() -> None:
    full = scene()
    fine, coarse = image(full, 0.25).astype(float), image(full, 0.5).astype(float)
    height, width = coarse.shape[0] // 2 * 2, coarse.shape[1] // 2 * 2
    fine = fine[: 2 * height, : 2 * width]
    halved = fine.reshape(fine.shape[0] // 2, 2, fine.shape[1] // 2, 2, 3).mean(axis=(1, 3))
    coarse = coarse[: halved.shape[0], : halved.shape[1]]
    assert np.corrcoef(halved.ravel(), coarse.ravel())[0, 1] > 0.95


def test_out_of_focus_objects_fade() -> None:
    full = scene()
    flat, lifted = (
        replace(full, cells=tuple(replace(cell, z_um=z) for cell in full.cells)) for z in (0.0, 10.0)
    )
    sharp, soft = (np.abs(np.diff(image(one).astype(int), axis=1)) for one in (flat, lifted))
    assert np.percentile(soft, 99.5) < 0.6 * np.percentile(sharp, 99.5)
    table = truth_table(lifted, 0.5).to_pylist()
    assert not any(row["in_focus"] for row in table if row["nuclear_diameter_um"] is not None)

"""What else lies on glass: every confounder alone, and the rest of the slide unmoved by it."""

from dataclasses import replace

import numpy as np
import pytest

from inkdot.synthetic.cells.scene import Scene
from inkdot.synthetic.cohort.cohort_plan import SlidePlan, plan_cohort
from inkdot.synthetic.cohort.truth import truth_table
from inkdot.synthetic.cytology.confounders import CHANCES
from inkdot.synthetic.rendering.backdrops import word_bitmap
from inkdot.synthetic.rendering.scene_source import SceneSource, whole_image
from inkdot.synthetic.scenes import build_scene

PLAN = replace(plan_cohort("normal", 1, 4, spot_mm=0.4, mpp=1.0)[0], only_confounders="none")


def scene(plan: SlidePlan) -> Scene:
    return build_scene(plan, plan.draw_patient(), plan.stain())


def image(of: Scene) -> np.ndarray:
    return whole_image(SceneSource(of, 1.0, PLAN.stain(), PLAN.scanner_properties(), seed=1)).astype(int)


@pytest.mark.parametrize("name", sorted(CHANCES))
def test_each_alone_changes_the_image_and_leaves_the_cells(name: str) -> None:
    plain, with_one = scene(PLAN), scene(replace(PLAN, only_confounders=name))
    assert with_one.confounders == (name,)
    if name == "overlapping_cells":
        moved = [(a, b) for a, b in zip(with_one.cells, plain.cells, strict=True) if a.x_um != b.x_um]
        assert moved
        assert all((a.kind, a.texture, a.z_um) == (b.kind, b.texture, b.z_um) for a, b in moved)
        return
    kept = [cell for cell in with_one.cells if cell.kind != "precipitate"]
    assert [(cell.kind, cell.x_um, cell.y_um) for cell in kept] == [
        (cell.kind, cell.x_um, cell.y_um) for cell in plain.cells
    ]
    if name == "out_of_focus_band":
        assert any(a.z_um != b.z_um for a, b in zip(kept, plain.cells, strict=True))
        return
    if name == "stitching_seam" and with_one.seam is None:
        low, high = (image(one).mean(axis=(0, 2)) for one in (plain, with_one))
        assert np.abs(high - low).max() > 2.0
        return
    assert (np.abs(image(with_one) - image(plain)).max(axis=2) > 6).mean() > 1e-5
    if name == "stitching_seam":
        return
    classes = set(truth_table(with_one, 1.0).column("class").to_pylist())
    assert name in classes


def test_confounders_come_by_their_chances() -> None:
    plans = [
        replace(plan, only_confounders="") for plan in plan_cohort("inadequate", 240, 9, spot_mm=0.2, mpp=1.0)
    ]
    seen = [scene(plan).confounders for plan in plans]
    for name, chance in CHANCES.items():
        share = np.mean([name in names for names in seen])
        assert share == pytest.approx(chance, abs=4.0 * np.sqrt(chance * (1 - chance) / len(plans)))


def test_the_word_reads_synthetic() -> None:
    bitmap = word_bitmap()
    assert bitmap.shape == (7, 53)
    letters = [bitmap[:, 6 * k : 6 * k + 5] for k in range(9)]
    assert all(letter.any() for letter in letters)
    assert np.array_equal(letters[3][0], np.ones(5, bool))  # the bar of the T
    assert not bitmap[:, 5::6].any()  # gaps

"""The bands of SYNTHETIC.md B2, read from truth alone."""

import numpy as np
import pytest

from inkdot.synthetic.cells.cell_clusters import moulded_cluster, regular_group
from inkdot.synthetic.cells.draw_cells import Preparation, draw_cell
from inkdot.synthetic.cells.recipes import RECIPES
from inkdot.synthetic.cells.scene import Cell
from inkdot.synthetic.cells.shapes import equivalent_diameter_um
from inkdot.synthetic.cohort.patients import draw_patient
from inkdot.synthetic.cytology.groups import draw_group


def diameter(cell: Cell) -> float:
    return equivalent_diameter_um(cell.nuclei[0].outline)


def drawn(kind: str, count: int, preparation: Preparation | None = None, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    preparation = preparation or Preparation()
    return np.array([diameter(draw_cell(kind, RECIPES[kind], preparation, rng)) for _ in range(count)])


@pytest.mark.parametrize("kind", sorted(RECIPES))
def test_nuclei_have_their_recipes_size(kind: str) -> None:
    recipe = RECIPES[kind]
    sizes = drawn(kind, 400)
    assert sizes.mean() == pytest.approx(recipe.diameter_um, rel=0.03)
    assert sizes.min() >= recipe.smallest_um - 1e-3
    assert sizes.max() <= recipe.largest_um + 1e-3


def test_ratios_to_the_lymphocyte_are_in_their_bands_and_survive_the_preparation() -> None:
    for size in (0.85, 1.0, 1.2):
        reference = np.median(drawn("lymphocyte", 300, Preparation(size)))
        assert 1.45 <= np.median(drawn("small_nec", 600, Preparation(size))) / reference <= 1.75
        assert 1.95 <= np.median(drawn("large_nec", 600, Preparation(size))) / reference <= 2.4
        assert reference == pytest.approx(7.2 * size, rel=0.03)


def test_single_nuclei_overlap_as_computed() -> None:
    small, large = drawn("small_nec", 1500), drawn("large_nec", 1500)
    auc = np.mean(small[:, None] < large[None, :])
    assert auc == pytest.approx(0.87, abs=0.02)


def test_patients_differ_in_size_and_their_lymphocytes_with_them() -> None:
    rng = np.random.default_rng(5)
    sizes = np.array([draw_patient("", rng).preparation.size for _ in range(400)])
    assert np.std(np.log(sizes)) == pytest.approx(0.08, abs=0.01)


def test_moulded_nuclei_touch_without_covering_each_other() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        cells = [
            c
            for c in moulded_cluster("small_nec", RECIPES["small_nec"], Preparation(), 12, rng)
            if c.cytoplasm
        ]
        positions = np.array([(cell.x_um, cell.y_um) for cell in cells])
        radii = np.array([diameter(cell) / 2.0 for cell in cells])
        apart = np.hypot(*(positions[:, None] - positions[None, :]).transpose(2, 0, 1)) / (
            radii[:, None] + radii[None, :]
        )
        np.fill_diagonal(apart, np.inf)
        assert 0.75 < np.median(apart.min(axis=1)) < 1.05


def test_choroid_groups_are_regular() -> None:
    rng = np.random.default_rng(4)
    cells = regular_group("choroid", RECIPES["choroid"], Preparation(), 40, rng)
    positions = np.array([(cell.x_um, cell.y_um) for cell in cells])
    apart = np.hypot(*(positions[:, None] - positions[None, :]).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    nearest = apart.min(axis=1)
    assert nearest.std() / nearest.mean() < 0.20
    sizes = np.array([diameter(cell) for cell in cells])
    assert sizes.std() / sizes.mean() < 0.12


def test_a_group_keeps_the_class_it_is_whatever_it_looks_like() -> None:
    rng = np.random.default_rng(8)
    for kind in ("small_nec", "large_nec", "choroid", "lymphocyte", "arachnoid", "germinal_matrix"):
        for _ in range(5):
            group = draw_group(kind, draw_patient("", rng), rng)
            assert {cell.kind for cell in group.cells} <= {kind, "apoptotic_body", "nuclear_streak"} | (
                {"monocyte"} if kind == "lymphocyte" else set()
            )

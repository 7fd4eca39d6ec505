"""Classes of cell and ways of lying together, against the table of the specification."""

import numpy as np
import pytest

from inkdot.synthetic.cells.draw_cells import Preparation, draw_cell
from inkdot.synthetic.cells.odd_cells import degenerated, draw_single, in_mitosis
from inkdot.synthetic.cells.recipes import RECIPES
from inkdot.synthetic.cells.scene import Cell, Scene
from inkdot.synthetic.cells.shapes import equivalent_diameter_um
from inkdot.synthetic.cohort.patients import draw_patient
from inkdot.synthetic.cytology.groups import draw_group
from inkdot.synthetic.rendering.scanner import scanner_number
from inkdot.synthetic.rendering.scene_source import SceneSource, whole_image
from inkdot.synthetic.rendering.stains import LG, E, H, laboratory_stain, reference_stain


def drawn(kind: str, count: int = 400) -> list[Cell]:
    rng = np.random.default_rng(2)
    return [draw_cell(kind, RECIPES[kind], Preparation(), rng) for _ in range(count)]


def nc_ratio(cell: Cell) -> float:
    if cell.cytoplasm is None:
        return 1.0
    return equivalent_diameter_um(cell.nuclei[0].outline) / equivalent_diameter_um(cell.cytoplasm.outline)


def test_a_fifth_of_large_cells_have_as_little_cytoplasm_as_small_ones() -> None:
    assert np.mean([nc_ratio(cell) > 0.85 for cell in drawn("large_nec")]) == pytest.approx(0.2, abs=0.06)
    assert np.mean([nc_ratio(cell) > 0.8 for cell in drawn("small_nec")]) > 0.95


def test_nucleoli_vacuoles_and_naked_nuclei_come_in_their_shares() -> None:
    small, large = drawn("small_nec"), drawn("large_nec")
    assert np.mean([bool(cell.nuclei[0].nucleoli) for cell in small]) == pytest.approx(0.2, abs=0.06)
    assert np.mean([bool(cell.nuclei[0].nucleoli) for cell in large]) == pytest.approx(0.7, abs=0.07)
    assert np.mean([cell.cytoplasm is None for cell in small]) == pytest.approx(0.25, abs=0.07)
    vacuolated = [cell for cell in large if cell.vacuoles]
    assert np.mean([bool(cell.vacuoles) for cell in large]) == pytest.approx(
        0.57, abs=0.07
    )  # 0.6 of those with a body
    assert 5 <= np.median([len(cell.vacuoles) for cell in vacuolated]) <= 25


def test_tumour_divides_and_choroid_does_not() -> None:
    rng = np.random.default_rng(4)
    shares: dict[str, float] = {}
    for kind in ("small_nec", "large_nec", "choroid"):
        cells = [cell for _ in range(60) for cell in draw_group(kind, draw_patient("", rng), rng).cells]
        shares[kind] = float(np.mean([cell.state == "dividing" for cell in cells if cell.kind == kind]))
    assert 0.005 <= shares["small_nec"] <= 0.03
    assert 0.005 <= shares["large_nec"] <= 0.03
    assert shares["choroid"] == 0.0


def test_a_mitosis_has_no_membrane_and_a_rough_edge() -> None:
    rng = np.random.default_rng(1)
    metrics = [in_mitosis(cell, rng) for cell in drawn("large_nec", 80)]
    plates = [cell for cell in metrics if len(cell.nuclei) == 1]
    rings = [cell for cell in metrics if len(cell.nuclei) > 1]
    assert len(plates) > 20
    assert len(rings) > 20
    for cell in metrics:
        assert cell.cytoplasm is not None
        assert cell.state == "dividing"
        assert not any(nucleus.nucleoli for nucleus in cell.nuclei)
    lengths = [2.0 * float(cell.nuclei[0].outline.max()) for cell in plates]
    assert 7.0 < np.median(lengths) < 14.0
    # The middle of a ring is empty.
    assert all(min(np.hypot(n.dx_um, n.dy_um) - n.outline.max() for n in cell.nuclei) > 0.0 for cell in rings)


def test_what_fell_apart_has_lost_its_chromatin() -> None:
    rng = np.random.default_rng(1)
    for cell in (degenerated(cell, rng) for cell in drawn("large_nec", 40)):
        assert cell.state == "degenerate"
        assert {nucleus.chromatin for nucleus in cell.nuclei} == {"smudged"}
        assert not any(nucleus.nucleoli for nucleus in cell.nuclei)


def test_a_cartilage_cell_lies_in_a_clear_hole_of_a_dense_matrix() -> None:
    rng = np.random.default_rng(6)
    cell = draw_single("chondrocyte", RECIPES["chondrocyte"], Preparation(), rng)
    (lacuna,) = cell.vacuoles
    nucleus = cell.nuclei[0]
    source = SceneSource(
        Scene(40.0, 40.0, (cell_at(cell, 20.0),)), 0.25, reference_stain("pap"), scanner_number(1), seed=1
    )
    image = whole_image(source).mean(axis=2)
    away = np.hypot(
        *(np.mgrid[0:160, 0:160] * 0.25 - 20.0 - np.array([nucleus.dy_um, nucleus.dx_um])[:, None, None])
    )
    rim = float(nucleus.outline.max())
    halo = image[(away > rim + 0.5) & (away < lacuna.diameter_um / 2.0 - 0.5)].mean()
    matrix = image[(away > lacuna.diameter_um / 2.0 + 1.0) & (away < lacuna.diameter_um / 2.0 + 1.8)].mean()
    assert halo > matrix + 30.0
    assert image[away < 1.0].mean() < matrix - 30.0


def cell_at(cell: Cell, position_um: float) -> Cell:
    return Cell(
        cell.kind,
        position_um,
        position_um,
        0.0,
        cell.nuclei,
        cell.cytoplasm,
        cell.vacuoles,
        texture=cell.texture,
    )


def test_skin_scales_are_pink_or_green_and_may_lack_a_nucleus() -> None:
    rng = np.random.default_rng(3)
    scales = [draw_single("squame", RECIPES["squame"], Preparation(), rng) for _ in range(120)]
    bodies = [cell.cytoplasm for cell in scales if cell.cytoplasm is not None]
    assert 0.3 < np.mean([body.eosin > body.light_green for body in bodies]) < 0.7
    assert 0.15 < np.mean([not cell.nuclei for cell in scales]) < 0.45
    assert 32.0 < np.median([equivalent_diameter_um(body.outline) for body in bodies]) < 55.0


def test_lymphoid_aggregates_hold_monocytes_and_are_not_flattened() -> None:
    rng = np.random.default_rng(5)
    groups = [draw_group("lymphocyte", draw_patient("", rng), rng) for _ in range(40)]
    true_to_kind = [group.cells for group in groups if group.name == "lymphoid_aggregate"]
    kinds = [cell.kind for cells in true_to_kind for cell in cells]
    assert 0.05 < kinds.count("monocyte") / len(kinds) < 0.3


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("small_nec", 4.0, 16.0), ("large_nec", 5.0, 20.0), ("choroid", 2.0, 9.0)]
)
def test_clusters_reach_into_the_height(kind: str, low: float, high: float) -> None:
    rng = np.random.default_rng(9)
    appearances = [draw_group(kind, draw_patient("", rng), rng).cells for _ in range(30)]
    extent = np.median([np.ptp([cell.z_um for cell in cells]) for cells in appearances if len(cells) >= 8])
    assert low < extent < high


def test_laboratories_differ_as_much_as_the_specification_says() -> None:
    stains = [laboratory_stain("pap", np.random.default_rng(k)) for k in range(400)]
    strength = np.log(np.array([np.linalg.norm(stain.od, axis=1) for stain in stains]))
    assert strength[:, H].std() == pytest.approx(0.18, abs=0.02)
    ratio = np.exp(strength[:, LG] - strength[:, E])
    unit = reference_stain("pap").od
    usual = np.linalg.norm(unit[LG]) / np.linalg.norm(unit[E])
    assert np.median(ratio) == pytest.approx(usual, rel=0.15)
    rotated_cell = [
        np.degrees(
            np.arccos(
                np.clip(stain.od[H] @ unit[H] / np.linalg.norm(stain.od[H]) / np.linalg.norm(unit[H]), -1, 1)
            )
        )
        for stain in stains
    ]
    assert 2.0 < np.median(rotated_cell) < 6.0
    assert max(float(stain.white.max()) for stain in stains) <= 252.0
    assert max(stain.cytoplasmic_haematoxylin for stain in stains) <= 0.08


def test_scanners_stay_in_their_ranges() -> None:
    scanners = [scanner_number(k) for k in range(40)]
    assert {one.native_mpp for one in scanners} == {0.2200, 0.2301, 0.2506, 0.4990}
    assert {one.jpeg_quality for one in scanners} == {60, 75, 90}
    assert {one.subsampling for one in scanners} == {"420", "444"}
    for one in scanners:
        assert 0.9 <= one.gamma <= 1.1
        assert 0.0 <= one.sharpening <= 0.6
        assert 0.15 <= one.blur_um <= 0.35
        assert 0.0 <= one.colour_shift_px <= 0.6
        assert 1.0 <= one.noise <= 3.0

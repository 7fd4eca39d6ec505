"""H&E sections: what lies where, how densely, and how often."""

from dataclasses import replace

import numpy as np
import pytest

from inkdot.synthetic.cells.scene import Cell, Scene
from inkdot.synthetic.cells.shapes import equivalent_diameter_um
from inkdot.synthetic.cohort.cohort_plan import plan_cohort
from inkdot.synthetic.histology.draw_tissue_plan import P_AZZOPARDI, P_BENIGN_EPITHELIUM, draw_tissue_plan
from inkdot.synthetic.histology.tissue_plan import STEP_UM, TissueClass, TissuePlan
from inkdot.synthetic.scenes import build_scene


@pytest.fixture(scope="module")
def small_cell_plans() -> list[TissuePlan]:
    return [draw_tissue_plan(800.0, "small_cell", np.random.default_rng(k)) for k in range(40)]


@pytest.fixture(scope="module")
def large_cell_plans() -> list[TissuePlan]:
    return [draw_tissue_plan(800.0, "large_cell", np.random.default_rng(k)) for k in range(12)]


def laid(preset: str, seed: int = 1) -> Scene:
    plan = plan_cohort(preset, 1, seed, 0.5, 1.0)[0]
    return build_scene(plan, plan.draw_patient(), plan.stain())


def nuclear_um(cells: list[Cell]) -> np.ndarray:
    return np.array([equivalent_diameter_um(cell.nuclei[0].outline) for cell in cells])


def share(plan: TissuePlan, wanted: TissueClass, *of: TissueClass) -> float:
    return float(np.sum(plan.classes == wanted) / max(np.isin(plan.classes, of).sum(), 1))


TUMOUR = (
    TissueClass.SMALL_CELL,
    TissueClass.LARGE_CELL,
    TissueClass.CRUSHED,
    TissueClass.NECROSIS,
)


def test_necrosis_and_crush_cover_their_shares(
    small_cell_plans: list[TissuePlan], large_cell_plans: list[TissuePlan]
) -> None:
    small = [share(plan, TissueClass.NECROSIS, *TUMOUR) for plan in small_cell_plans]
    large = [share(plan, TissueClass.NECROSIS, *TUMOUR) for plan in large_cell_plans]
    crushed = [share(plan, TissueClass.CRUSHED, *TUMOUR) for plan in small_cell_plans]
    assert max(small) <= 0.26
    assert max(large) <= 0.36
    assert 0.05 < np.median(small) < 0.25
    assert 0.10 < np.median(large) < 0.35
    assert 0.03 < np.median(crushed) < 0.20


def test_benign_epithelium_and_basophilic_rims_come_by_their_chances(
    small_cell_plans: list[TissuePlan],
) -> None:
    with_epithelium = [bool(plan.glands) or bool((plan.maturity >= 0.0).any()) for plan in small_cell_plans]
    assert np.mean(with_epithelium) == pytest.approx(P_BENIGN_EPITHELIUM, abs=0.2)
    assert any((plan.maturity >= 0.0).any() for plan in small_cell_plans)
    assert any(plan.glands for plan in small_cell_plans)
    vessels = [vessel for plan in small_cell_plans for vessel in plan.vessels]
    assert np.mean([vessel.basophilic for vessel in vessels]) == pytest.approx(P_AZZOPARDI, abs=0.06)
    assert any((plan.classes == TissueClass.BASOPHILIC).any() for plan in small_cell_plans)


def test_large_cell_sections_have_no_basophilic_vessels(large_cell_plans: list[TissuePlan]) -> None:
    assert not any(vessel.basophilic for plan in large_cell_plans for vessel in plan.vessels)


def test_half_of_the_nests_have_a_palisade_and_some_have_rosettes(large_cell_plans: list[TissuePlan]) -> None:
    upright = [plan.palisaded[plan.classes == TissueClass.LARGE_CELL].mean() for plan in large_cell_plans]
    assert np.mean(upright) == pytest.approx(0.5, abs=0.15)
    assert np.mean([len(plan.rosettes) for plan in large_cell_plans]) > 1


def test_squamous_epithelium_matures_upwards(small_cell_plans: list[TissuePlan]) -> None:
    plan = next(plan for plan in small_cell_plans if (plan.maturity >= 0.0).any())
    columns = [plan.maturity[:, k][plan.maturity[:, k] >= 0.0] for k in range(plan.maturity.shape[1])]
    grown = [column for column in columns if len(column) > 10]
    assert grown
    assert all(np.all(np.diff(column) >= 0.0) and column[-1] > column[0] for column in grown)
    assert np.all((plan.maturity >= 0.0) == (plan.classes == TissueClass.SQUAMOUS))


@pytest.mark.parametrize(
    ("preset", "kind", "mean", "densities"),
    [
        ("small-cell-section", "small_nec", 8.1, (9000.0, 14000.0)),
        ("large-cell-section", "large_nec", 12.0, (4000.0, 7000.0)),
    ],
)
def test_nuclei_are_as_large_and_as_dense_as_published(
    preset: str, kind: str, mean: float, densities: tuple[float, float]
) -> None:
    means: list[float] = []
    for seed in range(3):
        plan = plan_cohort(preset, 1, seed, 0.5, 1.0)[0]
        patient = plan.draw_patient()
        scene = build_scene(plan, patient, plan.stain())
        size = patient.preparation.size
        cells = [cell for cell in scene.cells if cell.kind == kind and cell.state == "intact"]
        means.append(float(nuclear_um(cells).mean()) / size)
        tissue_plan = draw_tissue_plan(500.0, patient.tumour, plan.generator("scene"))
        held = (
            (TissueClass.SMALL_CELL, TissueClass.CRUSHED)
            if kind == "small_nec"
            else (TissueClass.LARGE_CELL,)
        )
        area_mm2 = np.isin(tissue_plan.classes, held).sum() * STEP_UM**2 / 1e6
        assert 0.85 * densities[0] < len(cells) / area_mm2 * size**2 < 1.1 * densities[1]
    assert np.mean(means) == pytest.approx(
        mean, rel=0.15
    )  # patients lie between the two, and neighbours flatten


@pytest.mark.slow
def test_mitoses_per_two_square_millimetres() -> None:
    tumour = [
        cell
        for seed in range(6)
        for cell in laid("small-cell-section", seed).cells
        if cell.kind == "small_nec"
    ]
    in_mitosis = sum(cell.state == "dividing" for cell in tumour)
    expected = len(tumour) / 11_500 * 50 / 2  # 20 to 80, about 50, per 2 mm2 of about 11,500 nuclei per mm2
    assert abs(in_mitosis - expected) < 4.0 * np.sqrt(expected) + 0.3 * expected
    assert in_mitosis > 0
    assert all(cell.cytoplasm is None or cell.cytoplasm.light_green == 0.0 for cell in tumour)


def test_fibroblasts_lie_along_the_fibres() -> None:
    plan = plan_cohort("benign-section", 1, 1, 0.5, 1.0)[0]
    scene = build_scene(plan, plan.draw_patient(), plan.stain())
    tissue_plan = draw_tissue_plan(500.0, "", plan.generator("scene"))
    margin = (scene.width_um - 500.0) / 2.0
    off: list[float] = []
    for cell in scene.cells:
        if cell.kind == "fibroblast":
            along = 2.0 * np.pi * float(np.argmax(cell.nuclei[0].outline)) / 64.0
            fibre = tissue_plan.fibre_at(cell.x_um - margin, cell.y_um - margin)
            off.append(abs(np.sin(along - fibre)))
    assert np.median(off) < np.sin(np.radians(15.0))


def test_a_section_repeats() -> None:
    one, other = (laid("combined-section") for _ in range(2))
    assert [(cell.kind, cell.x_um, cell.texture) for cell in one.cells] == [
        (cell.kind, cell.x_um, cell.texture) for cell in other.cells
    ]
    plan = replace(plan_cohort("combined-section", 1, 1, 0.5, 1.0)[0], only_confounders="none")
    assert build_scene(plan, plan.draw_patient(), plan.stain()).regions

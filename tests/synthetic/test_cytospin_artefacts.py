"""Artefacts of cytospins: what is rendered is measured again and compared with the truth."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import shapely
from shapely.geometry import LineString

from inkdot.synthetic.cells.scene import Backdrop, Scene
from inkdot.synthetic.cohort.cohort_plan import SlidePlan, plan_cohort
from inkdot.synthetic.cohort.cytospins import CYTOSPINS
from inkdot.synthetic.cohort.truth import slide_labels, truth_table
from inkdot.synthetic.rendering.deposits import (
    PenRing,
    draw_precipitate_clump,
    draw_precipitate_grains,
    draw_protein_clot,
)
from inkdot.synthetic.rendering.scene_source import SceneSource, whole_image
from inkdot.synthetic.rendering.strands import Ribbon, Scratch
from inkdot.synthetic.scenes import build_scene

MPP = 0.5
SIDE_UM = 400.0
INK = np.array([0.4, 0.4, 0.4], np.float32)
KINDS = {"fibre", "hair", "protein_clot", "scratch", "precipitate", "pen_mark"}


def plan_of(preset: str, seed: int, number: int = 0) -> SlidePlan:
    return plan_cohort(preset, number + 1, seed, 1.0, 1.0)[number]


def scene_of(plan: SlidePlan) -> Scene:
    return build_scene(plan, plan.draw_patient(), plan.stain())


def density_of(thing: Backdrop) -> np.ndarray:
    """Green optical density of one artefact, [800, 800]."""
    axis = ((np.arange(800) + 0.5) * MPP).astype(np.float32)
    return np.broadcast_to(np.asarray(thing.optical_density(axis, axis)), (800, 800, 3))[..., 1]


def straight(length_um: float, tilt: float) -> tuple[tuple[float, float], ...]:
    steps = np.linspace(-0.5, 0.5, 15) * length_um
    return tuple((200.0 + float(s * np.cos(tilt)), 200.0 + float(s * np.sin(tilt))) for s in steps)


def overlap(mask: np.ndarray, outline: shapely.Geometry) -> float:
    """Intersection over union of a mask and an outline in µm."""
    rows, columns = np.mgrid[0:800, 0:800]
    inside = shapely.contains_xy(outline, (columns + 0.5) * MPP, (rows + 0.5) * MPP)
    return float((mask & inside).sum() / (mask | inside).sum())


@pytest.mark.parametrize("tilt", [0.0, 0.7, 1.9])
def test_a_fibre_is_as_long_and_as_wide_as_drawn(tilt: float) -> None:
    fibre = Ribbon(straight(280.0, tilt), 20.0, INK, folds=3, seed=4)
    mask = density_of(fibre) > 0.1
    (_, _), (one, other), _ = cv2.minAreaRect(np.argwhere(mask).astype(np.float32))
    assert max(one, other) * MPP == pytest.approx(280.0 + 20.0, abs=4.0)  # round ends
    assert mask.sum() * MPP**2 / 280.0 == pytest.approx(20.0, rel=0.12)
    assert overlap(mask, fibre.outline) > 0.85


def test_a_twisted_fibre_is_narrow_where_it_turns_over() -> None:
    fibre = Ribbon(straight(300.0, 0.0), 24.0, INK, twist_um=120.0, seed=0)
    widths = (density_of(fibre) > 0.1).sum(axis=0)[150:650] * MPP
    assert widths.max() == pytest.approx(24.0, abs=2.0)
    assert widths.min() == pytest.approx(0.55 * 24.0, abs=2.5)


def test_fibrils_belong_to_the_outline() -> None:
    bare = Ribbon(straight(200.0, 0.0), 16.0, INK)
    frayed = replace(bare, fibrils=(((200.0, 200.0), (205.0, 170.0), (230.0, 160.0)),))
    ink = (density_of(frayed) > 0.1) & ~(density_of(bare) > 0.1)
    assert ink.sum() * MPP**2 == pytest.approx(1.4 * 50.0, rel=0.6)
    assert frayed.outline.area > bare.outline.area


def test_a_scratch_is_a_thin_dark_line_with_a_haze_on_one_side() -> None:
    scratch = Scratch(straight(300.0, 0.0), 5.0, INK, haze_um=25.0, seed=2)
    density = density_of(scratch)[:, 350:450].mean(axis=1)
    middle = 400
    assert np.argmax(density) == pytest.approx(middle, abs=6)
    above, below = density[middle - 60 : middle - 15].mean(), density[middle + 15 : middle + 60].mean()
    assert max(above, below) > 5.0 * min(above, below)
    assert (density > 0.2).sum() * MPP == pytest.approx(5.0, abs=2.0)


def test_a_clot_is_a_pale_sheet_with_cracks() -> None:
    for seed in range(4):
        clot = draw_protein_clot((200.0, 200.0), 150.0, INK, np.random.default_rng(seed))
        density = density_of(clot)
        rows, columns = np.mgrid[0:800, 0:800]
        inside = shapely.contains_xy(clot.outline, (columns + 0.5) * MPP, (rows + 0.5) * MPP)
        assert 0.1 * 300.0**2 < inside.sum() * MPP**2 < 0.9 * 300.0**2
        assert 0.03 < (density[inside] < 0.05).mean() < 0.45  # cracks
        assert np.median(density[inside]) == pytest.approx(0.4, rel=0.3)
        assert (density[~inside] > 0.1).mean() < 0.01


def test_precipitate_is_found_in_its_outline() -> None:
    rng = np.random.default_rng(1)
    clump = draw_precipitate_clump((200.0, 200.0), 20.0, INK, rng)
    assert overlap(density_of(clump) > 0.1, clump.outline) > 0.8
    grains = draw_precipitate_grains((200.0, 200.0), 100.0, 6000.0, INK, rng)
    mask = density_of(grains) > 0.08
    number, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    diameters = 2.0 * np.sqrt(stats[1:, cv2.CC_STAT_AREA] / np.pi) * MPP
    assert number - 1 == pytest.approx(6000.0 * np.pi * 0.01, rel=0.3)
    assert 0.6 < np.median(diameters) < 2.5
    rows, columns = np.nonzero(mask)
    near = grains.outline.buffer(MPP)
    assert shapely.contains_xy(near, (columns + 0.5) * MPP, (rows + 0.5) * MPP).mean() > 0.99
    assert grains.outline.area < 0.6 * np.pi * 100.0**2


@pytest.mark.slow
def test_a_pen_ring_lies_around_the_spot_and_not_on_it() -> None:
    ring = PenRing(0.0, 200.0, 250.0, 60.0, INK, -1.0, 1.0, soft_um=10.0)
    ink = density_of(ring) > 0.15
    columns = np.nonzero(ink[400])[0] * MPP
    assert columns.mean() == pytest.approx(250.0, abs=8.0)
    assert np.ptp(columns) == pytest.approx(60.0, abs=12.0)
    assert overlap(ink, ring.outline) > 0.8
    for seed in range(6):
        for number in range(4):
            plan = plan_of("csf-cytospin", seed, number)
            rings = [thing for thing in scene_of(plan).backdrop if isinstance(thing, PenRing)]
            for one in rings:
                assert one.radius_um - one.width_um / 2.0 > plan.spot_mm * 500.0


def test_all_kinds_are_in_the_truth_with_their_outlines() -> None:
    seen: set[str] = set()
    for seed in range(3):
        scene = scene_of(plan_of("csf-cytospin-fibres", seed))
        truth = truth_table(scene, 1.0).to_pylist()
        rows = [row for row in truth if row["class"] in KINDS]
        assert {str(row["class"]) for row in rows} == set(scene.confounders)
        seen |= set(scene.confounders)
        for row in rows:
            outline = shapely.from_wkt(row["outline_l0_px"])
            assert outline.is_valid
            assert not outline.equals(outline.envelope)  # a shape, not a bounding box
            assert not row["malignant"]
        fibres = [row for row in rows if row["class"] == "fibre"]
        low, high = CYTOSPINS["csf-cytospin-fibres"].fibres
        assert low / 2 <= len(fibres) <= math.ceil(high / 2)  # half as many on a spot of 1 mm
        assert slide_labels(truth_table(scene, 1.0)) == {"malignancy": "benign"}
    assert seen == KINDS


def test_a_slide_without_one_kind_is_otherwise_the_same() -> None:
    plan = plan_of("csf-cytospin-fibres", 2)
    full, bare = scene_of(plan), scene_of(replace(plan, only_confounders="none"))
    some = scene_of(replace(plan, only_confounders="fibre"))
    cells = [[(cell.kind, cell.x_um, cell.texture) for cell in scene.cells] for scene in (full, bare, some)]
    assert cells[0] == cells[1] == cells[2]
    assert bare.confounders == ()
    assert some.confounders == ("fibre",)
    outlines = [
        thing.outline for thing in full.backdrop if isinstance(thing, Ribbon) and thing.kind == "fibre"
    ]
    again = [thing.outline for thing in some.backdrop if isinstance(thing, Ribbon)]
    assert all(one.equals(other) for one, other in zip(outlines, again, strict=True))
    image = whole_image(
        SceneSource(some, plan.mpp, plan.stain(), replace(plan.scanner_properties(), noise=0.0), seed=1)
    ).astype(int)
    empty = whole_image(
        SceneSource(bare, plan.mpp, plan.stain(), replace(plan.scanner_properties(), noise=0.0), seed=1)
    ).astype(int)
    changed = np.abs(image - empty).max(axis=2) > 8
    near = shapely.union_all(outlines).buffer(12.0)
    rows, columns = np.nonzero(changed)
    assert len(rows) > 1000
    assert shapely.contains_xy(near, columns + 0.5, rows + 0.5).all()


def test_every_patient_has_a_slide_in_each_stain() -> None:
    plans = plan_cohort("csf-cytospin", 12, 3)
    assert [plan.stain_name for plan in plans] == ["pap", "mgg"] * 6
    assert [plan.composition for plan in plans[::2]] == list(CYTOSPINS)
    assert all(one.patient_id == other.patient_id for one, other in zip(plans[::2], plans[1::2], strict=True))
    assert len({plan.patient_id for plan in plans}) == 6
    assert {plan.preparation for plan in plans} == {"cytospin"}


def test_lines_are_not_longer_than_their_slide() -> None:
    scene = scene_of(plan_of("csf-cytospin-fibres", 1))
    fibres = [thing for thing in scene.backdrop if isinstance(thing, Ribbon) and thing.kind == "fibre"]
    lengths = [LineString(fibre.points).length for fibre in fibres]
    assert max(lengths) <= 1.3 * 500.0 + 20.0
    assert min(lengths) > 100.0

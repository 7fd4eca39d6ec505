"""The glass of a ThinPrep spot: rim, lanes, arc, adequacy, seams and focal planes."""

from dataclasses import replace

import numpy as np
import pytest

from inkdot.synthetic.cells.scene import Scene, Seam
from inkdot.synthetic.cohort.cohort_plan import SlidePlan, plan_cohort
from inkdot.synthetic.cohort.presets import COMPOSITIONS
from inkdot.synthetic.cytology.settling import CellSpotArea
from inkdot.synthetic.rendering.backdrops import AlignmentArc, SpotRing
from inkdot.synthetic.rendering.extended_focus import FusedSource
from inkdot.synthetic.rendering.scene_source import SceneSource, whole_image
from inkdot.synthetic.scenes import build_scene


def plan_of(preset: str, seed: int = 1, spot_mm: float = 0.5, number: int = 0) -> SlidePlan:
    plan = plan_cohort(preset, number + 1, seed, spot_mm, 0.5)[number]
    return replace(plan, only_confounders="none")


def laid(plan: SlidePlan) -> Scene:
    return build_scene(plan, plan.draw_patient(), plan.stain())


def image(scene: Scene, plan: SlidePlan, focus_um: float = 0.0) -> np.ndarray:
    return whole_image(
        SceneSource(scene, plan.mpp, plan.stain(), plan.scanner_properties(), seed=1, focus_um=focus_um)
    ).astype(int)


def test_the_rim_is_one_and_a_half_to_three_times_as_dense() -> None:
    ratios: list[float] = []
    for seed in range(3):
        scene = laid(plan_of("pleocytosis", seed, 2.0))
        (ring,) = [thing for thing in scene.backdrop if isinstance(thing, SpotRing)]
        assert ring.density == pytest.approx(0.02)
        singles = [cell for cell in scene.cells if cell.cluster == -1]
        away = np.array([np.hypot(cell.x_um - ring.x_um, cell.y_um - ring.y_um) for cell in singles])
        inner = ring.radius_um - ring.width_um
        on_rim = np.sum(away > inner - 4.0) / (ring.radius_um**2 - inner**2)
        ratios.append(on_rim / (np.sum(away <= inner - 4.0) / inner**2))
    assert min(ratios) > 1.2
    assert max(ratios) < 3.6
    assert 1.5 < np.mean(ratios) < 3.0


def test_cells_keep_out_of_lanes_and_clump_slightly() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        glass = CellSpotArea(0.0, 0.0, 2000.0, rng)
        if glass.lanes:
            break
    positions = np.array([glass.settle(4.0, single=True) for _ in range(3000)])
    in_lane = np.mean([any(lane.holds(x, y) for lane in glass.lanes) for x, y in positions])
    free = rng.uniform(-1400.0, 1400.0, (4000, 2))
    assert in_lane < 0.2 * np.mean([any(lane.holds(x, y) for lane in glass.lanes) for x, y in free])
    inside = positions[np.abs(positions).max(axis=1) < 1400.0]
    counts, _, _ = np.histogram2d(inside[:, 0], inside[:, 1], bins=14)
    assert 1.1 < counts.var() / counts.mean() < 6.0  # 1 for even chance


def test_the_arc_is_printed_outside_the_spot() -> None:
    plan = plan_of("normal")
    scene = laid(plan)
    (arc,) = [thing for thing in scene.backdrop if isinstance(thing, AlignmentArc)]
    (ring,) = [thing for thing in scene.backdrop if isinstance(thing, SpotRing)]
    assert arc.radius_um - arc.width_um > ring.radius_um
    grey = image(scene, plan).mean(axis=2)
    x, y = arc.x_um + arc.radius_um * np.cos(arc.middle), arc.y_um + arc.radius_um * np.sin(arc.middle)
    assert grey[round(y / 0.5), round(x / 0.5)] < np.median(grey) - 60.0


def test_full_spots_are_twenty_millimetres_give_or_take_six_tenths() -> None:
    radii: set[float] = set()
    for seed in range(5):
        scene = laid(plan_of("inadequate", seed, 20.0))
        (ring,) = [thing for thing in scene.backdrop if isinstance(thing, SpotRing)]
        assert 9700.0 <= ring.radius_um <= 10300.0
        assert 190.0 <= ring.width_um <= 500.0
        radii.add(ring.radius_um)
    assert len(radii) == 5


def test_inadequate_slides_hold_few_cells_or_mostly_broken_ones() -> None:
    kinds = {"inadequate": 0, "degenerate": 0}
    for number in range(6):
        plan = plan_of("inadequate", 3, 20.0, number)
        cells = [cell for cell in laid(plan).cells if cell.nuclei and cell.kind != "squame"]
        broken = np.mean([cell.state == "degenerate" for cell in cells]) if cells else 0.0
        kinds[plan.composition] += 1
        assert len(cells) < 20 or broken > 0.6
    assert min(kinds.values()) > 0


@pytest.mark.parametrize("name", ["adenocarcinoma", "lymphoma"])
def test_other_tumours_are_what_their_preset_says(name: str) -> None:
    kinds = {cell.kind for cell in laid(plan_of(name, spot_mm=1.0)).cells}
    assert name in kinds
    assert not kinds & {"small_nec", "large_nec"}


def test_benign_groups_stay_within_their_numbers() -> None:
    highest = {"normal": 2, "bacterial": 2, "traumatic": 2, "treated": 6, "lm-minimal": 5, "lm-heavy": 3}
    for name, most in highest.items():
        made = COMPOSITIONS[name]
        ranges = (made.choroid_groups, made.lymphoid_aggregates, made.whorls)
        assert sum(1 if full is None else full[1] for full in ranges) <= most, name


@pytest.mark.parametrize("shift_px", [1, 3])
def test_right_of_a_bad_seam_the_image_lies_lower(shift_px: int) -> None:
    plan = plan_of("pleocytosis")
    plain = laid(plan)
    plain = replace(plain, backdrop=())
    joined = replace(plain, seam=Seam(plain.width_um / 2.0, shift_px))
    quiet = replace(plan.scanner_properties(), noise=0.0, shading=0.0)
    straight, jumped = (
        whole_image(SceneSource(one, 0.5, plan.stain(), quiet, seed=1)) for one in (plain, joined)
    )
    at = round(plain.width_um / 2.0 / 0.5)
    assert np.array_equal(jumped[:, : at - 4], straight[:, : at - 4])
    assert np.array_equal(jumped[shift_px:, at + 4 :], straight[:-shift_px, at + 4 :])
    assert not np.array_equal(jumped[:, at + 4 :], straight[:, at + 4 :])


def test_extended_focus_shows_what_no_single_plane_does() -> None:
    plan = plan_of("pleocytosis", spot_mm=0.3)
    flat = replace(laid(plan), backdrop=())
    heights = [9.0 if k % 2 else -9.0 for k in range(len(flat.cells))]
    cells = tuple(replace(cell, z_um=z) for cell, z in zip(flat.cells, heights, strict=True))
    split = replace(flat, cells=cells)
    sharp = image(replace(flat, cells=tuple(replace(cell, z_um=0.0) for cell in cells)), plan)
    planes = (-9.0, 0.0, 9.0)
    fused = whole_image(
        FusedSource(split, plan.mpp, plan.stain(), plan.scanner_properties(), 1, planes)
    ).astype(int)
    error = {z: np.abs(image(split, plan, z) - sharp).mean() for z in planes}
    assert np.abs(fused - sharp).mean() < 0.5 * min(error.values())
    # What lies 9 µm up has no edges in the middle plane, and its own in the fused image.
    edges = [np.percentile(np.abs(np.diff(one, axis=1)), 99.7) for one in (image(split, plan), fused, sharp)]
    assert edges[0] < 0.5 * edges[2]
    assert edges[1] > 0.85 * edges[2]


def test_tiles_of_the_fused_image_meet_without_a_seam() -> None:
    plan = plan_of("pleocytosis", spot_mm=0.3)
    scene = replace(laid(plan), backdrop=())
    source = FusedSource(scene, plan.mpp, plan.stain(), plan.scanner_properties(), 1, (-6.0, 0.0, 6.0))
    whole = whole_image(source).astype(int)
    across = np.abs(np.diff(whole, axis=1)).mean(axis=(0, 2))
    assert across[255] < 1.5 * np.median(across[200:300])

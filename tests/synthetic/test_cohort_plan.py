"""Plans: the same for the same seed, patients apart, presets as promised."""

import json

import pytest

from inkdot.errors import UserError
from inkdot.synthetic.cohort.cohort_plan import plan_cohort
from inkdot.synthetic.cohort.presets import (
    COHORTS,
    COMPOSITIONS,
    Composition,
    cell_count,
    cluster_count,
)


def test_the_demo_shows_every_kind_once() -> None:
    plans = plan_cohort("demo", 12, 1)
    kinds = [plan.composition for plan in plans]
    assert kinds.count("normal") == 3
    assert kinds.count("lm-minimal") == 2
    assert {
        "pleocytosis",
        "traumatic",
        "ventricular",
        "treated",
        "inadequate",
        "lm-missed",
        "lm-typical",
    } < set(kinds)
    assert {plan.tumour for plan in plans if plan.composition == "lm-minimal"} == {"small_cell", "large_cell"}
    assert len({plan.laboratory for plan in plan_cohort("demo", 40, 1)}) == 3


def test_training_cohorts_hold_both_tumours_and_benign_slides_early() -> None:
    plans = plan_cohort("demo-training", 12, 7)
    assert {plan.tumour for plan in plans} == {"", "small_cell", "large_cell"}
    assert [plan.patient for plan in plans[:6]] == [0, 0, 1, 2, 2, 3]
    assert {(plan.spot_mm, plan.mpp) for plan in plans} == {(1.0, 0.5)}


@pytest.mark.parametrize("preset", sorted(COHORTS))
def test_plans_repeat_and_are_json(preset: str) -> None:
    plans = plan_cohort(preset, 5, 3)
    assert plans == plan_cohort(preset, 9, 3)[:5]
    assert {plan.patient_id for plan in plans}.isdisjoint(
        plan.patient_id for plan in plan_cohort(preset, 5, 4)
    )
    assert len({plan.slide_id for plan in plans}) == 5
    for plan in plans:
        assert json.loads(json.dumps(plan.facts())) == plan.facts()
        assert plan.slide_id.startswith("synthetic_")


def test_the_same_patient_is_the_same_on_both_slides() -> None:
    one, other = plan_cohort("lm-typical", 2, 3)
    assert one.patient_id == other.patient_id
    assert one.draw_patient() == other.draw_patient()
    assert one.generator("scene").random() != other.generator("scene").random()


def test_laboratories_scan_at_their_own_scale() -> None:
    plans = plan_cohort("laboratories", 30, 1)
    assert {plan.mpp for plan in plans} == {0.2506, 0.2301, 0.22, 0.499}
    assert len({plan.laboratory for plan in plans}) > 5


@pytest.mark.parametrize("name", sorted(COMPOSITIONS))
def test_full_spots_hold_what_the_specification_says(name: str) -> None:
    made: Composition = COMPOSITIONS[name]
    chance = plan_cohort("normal", 1, 1)[0].generator("test")
    for full in (made.lymphocytes, made.red_cells):
        counts = [cell_count(full, 20.0, chance) for _ in range(200)]
        assert full[0] <= min(counts)
        assert max(counts) <= full[1]
    for full in (made.tumour_clusters, made.choroid_groups or (0, 0)):
        counts = [cluster_count(full, 20.0, chance) for _ in range(200)]
        assert full[0] <= min(counts)
        assert max(counts) <= full[1]
        assert cluster_count(full, 1.0, chance) >= min(full[0], 1)


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"expected one of .*lm-typical.*found 'lm-huge'"):
        plan_cohort("lm-huge", 1, 1)

"""Subgroups below the whole, on metrics given by hand."""

from inkdot.metrics.intervals.confidence_intervals import TOO_FEW, Estimate
from inkdot.metrics.slides.subgroups import subgroup_notes


def estimate(value: float, low: float, high: float, method: str = "by hand") -> Estimate:
    return Estimate(value, low, high, method)


WHOLE = {"auc": estimate(0.9, 0.85, 0.95), "sensitivity": estimate(0.8, 0.7, 0.9)}


def test_a_subgroup_is_named_where_its_interval_is_below_the_metric_of_all() -> None:
    lines = subgroup_notes(
        WHOLE,
        {
            "scanner": {
                "A": {"auc": estimate(0.7, 0.6, 0.89), "sensitivity": estimate(0.6, 0.4, 0.81)},
                "B": {"auc": estimate(0.95, 0.9, 1.0), "sensitivity": estimate(0.9, 0.8, 1.0)},
            }
        },
    )
    assert lines == [
        "Subgroup with an interval below the metric of all slides: scanner 'A': auc 0.700 (0.600 to 0.890), of all 0.900 "
        "(0.850 to 0.950)."
    ]


def test_small_subgroups_are_named() -> None:
    lines = subgroup_notes(
        WHOLE,
        {
            "site": {
                "one": {"auc": estimate(1.0, 0.0, 1.0, TOO_FEW), "sensitivity": estimate(1.0, 0.3, 1.0)},
                "two": {"auc": estimate(0.9, 0.8, 0.95)},
            }
        },
    )
    assert lines[0] == "No subgroup's interval lies below the metric of all validation slides."
    assert lines[1].startswith("Subgroups with too few validation patients to compare")
    assert "site 'one' (auc, sensitivity); site 'two' (sensitivity)" in lines[1]


def test_a_single_subgroup_is_not_compared() -> None:
    assert "the same on all validation slides" in subgroup_notes(WHOLE, {})[0]

"""What a person's label means for training: the table of the design, and its averages."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkdot.labels import (
    DEFAULT_HEADS,
    MALIGNANCY,
    MORPHOLOGY,
    Head,
    flagging_head,
    score_columns,
    target_columns,
)


@pytest.mark.parametrize(
    ("head", "label", "target"),
    [
        (MALIGNANCY, "malignant", (0.0, 1.0)),
        (MALIGNANCY, "benign", (1.0, 0.0)),
        (MALIGNANCY, "atypical", (0.5, 0.5)),
        (MALIGNANCY, "unsure", None),
        (MORPHOLOGY, "small_cell", (1.0, 0.0)),
        (MORPHOLOGY, "large_cell", (0.0, 1.0)),
        (MORPHOLOGY, "mixed", (0.5, 0.5)),
        (MORPHOLOGY, "indeterminate", None),
    ],
)
def test_the_table_of_labels(head: Head, label: str, target: tuple[float, ...] | None) -> None:
    assert head.target(label) == target


def test_an_unknown_label_is_an_error() -> None:
    with pytest.raises(KeyError):
        MALIGNANCY.target("maybe")


@pytest.mark.parametrize(
    ("label", "positive"),
    [("malignant", True), ("benign", False), ("atypical", None), ("unsure", None), (None, None)],
)
def test_a_label_is_positive_negative_or_neither(label: str | None, positive: bool | None) -> None:
    assert MALIGNANCY.is_positive(label) is positive


def test_several_readers_average_into_a_soft_target() -> None:
    assert MALIGNANCY.soft_target(["malignant", "malignant", "benign", "unsure"]) == pytest.approx(
        (1 / 3, 2 / 3)
    )
    assert MALIGNANCY.soft_target(["malignant", "atypical"]) == pytest.approx((0.25, 0.75))
    assert MALIGNANCY.soft_target(["unsure", "unsure"]) is None
    assert MALIGNANCY.soft_target([]) is None


@settings(deadline=None)  # a busy machine is no fault
@given(st.lists(st.sampled_from(sorted(MORPHOLOGY.labels)), max_size=9))
def test_a_soft_target_is_a_distribution_whatever_the_order(labels: list[str]) -> None:
    target = MORPHOLOGY.soft_target(labels)
    if target is None:
        assert set(labels) <= {"indeterminate"}
        return
    assert sum(target) == pytest.approx(1.0)
    assert all(0.0 <= weight <= 1.0 for weight in target)
    assert MORPHOLOGY.soft_target(reversed(labels)) == pytest.approx(target)


def test_columns_are_named_head_by_head() -> None:
    assert score_columns(DEFAULT_HEADS) == [
        "p.malignancy.benign", "p.malignancy.malignant", "p.morphology.small_cell", "p.morphology.large_cell",
    ]  # fmt: skip
    assert target_columns(DEFAULT_HEADS) == [
        name.replace("p.", "target.", 1) for name in score_columns(DEFAULT_HEADS)
    ]


def test_text_of_a_call() -> None:
    assert MORPHOLOGY.call_words("small_cell") == "small-cell-like"
    assert Head("x", ("a", "b"), {}).call_words("a") == "a"


def test_exactly_one_head_ranks_regions() -> None:
    assert flagging_head(DEFAULT_HEADS) is MALIGNANCY
    with pytest.raises(ValueError, match="exactly one head with a flag_class, found none"):
        flagging_head([MORPHOLOGY])
    with pytest.raises(ValueError, match="found malignancy, malignancy"):
        flagging_head([MALIGNANCY, MALIGNANCY])

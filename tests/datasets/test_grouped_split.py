import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkdot.datasets.splits.grouped_split import (
    SplitSlide,
    check_groups_apart,
    grouped_folds,
    grouped_split,
    patient_of,
)
from inkdot.errors import LeakageError, ManifestError, UserError


def slide(index, patient, positive=None, labels=(), part=""):
    return SplitSlide(f"s{index:03d}", patient, positive, labels, part)


def cohort(positives=12, negatives=20, each=2):
    patients = [(f"pos{i:02d}", True) for i in range(positives)] + [
        (f"neg{i:02d}", False) for i in range(negatives)
    ]
    return [
        slide(i, name, positive)
        for i, (name, positive) in enumerate(p for p in patients for _ in range(each))
    ]


@given(
    owners=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from([True, False, None])), min_size=1, max_size=40
    ),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 3),
)
def test_no_patient_is_ever_on_both_sides(owners, fraction, seed):
    slides = [slide(i, f"p{owner}", positive) for i, (owner, positive) in enumerate(owners)]
    parts = grouped_split(slides, fraction, seed)
    assert set(parts) == {s.slide_id for s in slides}
    sides = {}
    for s in slides:
        assert sides.setdefault(s.patient_id, parts[s.slide_id]) == parts[s.slide_id]


def test_each_class_gives_its_share():
    slides = cohort()
    parts = grouped_split(slides, 0.25, seed=0)
    validating = {s.patient_id for s in slides if parts[s.slide_id] == "validation"}
    assert sum(name.startswith("pos") for name in validating) == 3
    assert sum(name.startswith("neg") for name in validating) == 5


def test_two_patients_of_a_class_are_on_different_sides_and_a_single_one_trains():
    slides = [slide(0, "a", True), slide(1, "b", True), slide(2, "c", False)]
    parts = grouped_split(slides, 0.05, seed=0)
    assert {parts["s000"], parts["s001"]} == {"train", "validation"}
    assert parts["s002"] == "train"


def test_other_labels_are_spread_over_both_sides():
    slides = [slide(i, f"p{i}", True, ("small_cell" if i < 8 else "large_cell",)) for i in range(16)]
    for seed in range(10):
        parts = grouped_split(slides, 0.25, seed)
        validating = [s.labels[0] for s in slides if parts[s.slide_id] == "validation"]
        assert sorted(validating) == ["large_cell", "large_cell", "small_cell", "small_cell"]


def test_same_seed_same_split_in_any_order_and_another_seed_another():
    slides = cohort()
    parts = grouped_split(slides, 0.25, seed=1)
    assert grouped_split(slides[::-1], 0.25, seed=1) == parts
    assert any(grouped_split(slides, 0.25, seed=s) != parts for s in range(2, 6))


def test_a_given_split_is_respected():
    given = ["train", "validation", "test", "train"]
    slides = [slide(i, f"p{i}", True, part=part) for i, part in enumerate(given)]
    assert list(grouped_split(slides, 0.25, 0).values()) == given


def test_a_given_split_that_leaks_names_the_patient():
    slides = [
        slide(0, "anna", part="train"),
        slide(1, "anna", part="validation"),
        slide(2, "b", part="test"),
    ]
    with pytest.raises(LeakageError, match=r"anna \(train and validation\)"):
        grouped_split(slides, 0.25, 0)


@pytest.mark.parametrize("word", ["", "Train", "holdout"])
def test_a_split_column_filled_for_some_or_with_other_words_is_refused(word):
    slides = [slide(0, "a", part="train"), slide(1, "b", part=word)]
    with pytest.raises(ManifestError, match="'s001': column split"):
        grouped_split(slides, 0.25, 0)


def test_leaks_name_five_patients_and_count_the_rest():
    patients = {f"s{i}{side}": f"p{i}" for i in range(8) for side in "ab"}
    parts = {name: "train" if name.endswith("a") else "validation" for name in patients}
    with pytest.raises(LeakageError, match=r"p0 .*p4 .* and 3 more"):
        check_groups_apart(patients, parts, "patient")


def test_a_slide_without_patient_is_its_own_patient():
    assert patient_of("slide-1", "") == "slide-1"
    assert patient_of("slide-1", "anna") == "anna"


def test_folds_hold_whole_patients_and_their_share_of_each_class():
    slides = cohort(positives=10, negatives=20)
    folds = grouped_folds(slides, 5, seed=0)
    for fold in range(5):
        patients = {s.patient_id for s in slides if folds[s.slide_id] == fold}
        assert sum(name.startswith("pos") for name in patients) == 2
        assert sum(name.startswith("neg") for name in patients) == 4
    check_groups_apart(
        {s.slide_id: s.patient_id for s in slides}, {k: str(v) for k, v in folds.items()}, "patient"
    )
    assert grouped_folds(slides[::-1], 5, seed=0) == folds


def test_more_folds_than_patients_are_refused():
    with pytest.raises(UserError, match="found 2; lower --folds"):
        grouped_folds([slide(0, "a", True), slide(1, "b", False)], 5, 0)
    with pytest.raises(ValueError, match="at least 2 folds"):
        grouped_folds([slide(0, "a", True)], 1, 0)

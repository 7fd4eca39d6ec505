import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkdot.datasets.splits.grouped_split import SplitSlide, grouped_folds, grouped_split
from inkdot.datasets.splits.site_split import site_units
from inkdot.errors import LeakageError, ManifestError, UserError


def slide(index, patient, site, positive=None, part=""):
    return SplitSlide(f"s{index:03d}", patient, positive, (), part, site)


def cohort(sites):
    """Patients of one slide each; ``sites``: positives and negatives of each."""
    slides = []
    for site, (positives, negatives) in sites.items():
        for positive in [True] * positives + [False] * negatives:
            slides.append(slide(len(slides), f"p{len(slides)}", site, positive))
    return slides


@given(
    owners=st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 4), st.sampled_from([True, False, None])),
        min_size=1,
        max_size=40,
    ),
    seed=st.integers(0, 3),
)
def test_no_site_and_no_patient_is_ever_on_two_sides(owners, seed):
    slides = [slide(i, f"p{owner}", f"site{site}", known) for i, (owner, site, known) in enumerate(owners)]
    if len(set(site_units(slides).values())) < 2:
        with pytest.raises(UserError, match="expected at least 2 sites"):
            grouped_split(slides, 0.25, seed, "site")
        return
    for sides in (grouped_split(slides, 0.25, seed, "site"), grouped_folds(slides, 2, seed, "site")):
        assert set(sides) == {s.slide_id for s in slides}
        for of in ("site", "patient_id"):
            seen = {}
            for s in slides:
                assert seen.setdefault(getattr(s, of), sides[s.slide_id]) == sides[s.slide_id]
        assert len(set(sides.values())) == 2


def test_sites_that_share_a_patient_are_one_unit():
    slides = cohort({"a": (1, 1), "b": (1, 1), "c": (1, 1)})
    slides.append(slide(99, slides[0].patient_id, "b", True))
    with pytest.raises(UserError, match=r"at least 3 sites .* found 2"):
        grouped_folds(slides, 3, 0, "site")


def test_folds_are_among_the_most_even_quarter_of_all_assignments():
    counts = random.Random(3)
    for _ in range(20):
        sites = {f"site{i}": (counts.randint(1, 6), counts.randint(1, 12)) for i in range(7)}
        slides = cohort(sites)
        fold_of = grouped_folds(slides, 2, 0, "site")
        shares = np.array(list(sites.values())) / np.sum(list(sites.values()), axis=0)

        def unevenness(sides, shares=shares):
            return sum(((shares[np.array(sides) == fold].sum(axis=0) - 0.5) ** 2).sum() for fold in (0, 1))

        own = [next(fold_of[s.slide_id] for s in slides if s.site == site) for site in sites]
        every = [unevenness(sides) for sides in itertools.product((0, 1), repeat=7) if len(set(sides)) == 2]
        assert unevenness(own) <= np.quantile(every, 0.25)


def test_validation_gets_near_its_share_of_both_classes():
    slides = cohort({f"site{i}": (2, 4) for i in range(8)})
    parts = grouped_split(slides, 0.25, 0, "site")
    validating = [s for s in slides if parts[s.slide_id] == "validation"]
    assert sum(s.positive for s in validating) == 4
    assert len(validating) == 12


def test_both_sides_get_both_classes_where_the_sites_allow():
    slides = cohort({"only healthy": (0, 9), "only ill": (9, 0), "both": (3, 3), "both too": (3, 3)})
    for seed in range(5):
        parts = grouped_split(slides, 0.25, seed, "site")
        sides = {(parts[s.slide_id], s.positive) for s in slides}
        assert len(sides) == 4


def test_same_seed_same_sites_in_any_order():
    slides = cohort({f"site{i}": (i % 3 + 1, i + 2) for i in range(9)})
    assert grouped_folds(slides[::-1], 3, 1, "site") == grouped_folds(slides, 3, 1, "site")


def test_a_slide_without_a_site_is_named():
    slides = [*cohort({"a": (1, 1), "b": (1, 1)}), slide(77, "x", "")]
    with pytest.raises(ManifestError, match="found none for 1 such as 's077'"):
        grouped_split(slides, 0.25, 0, "site")


def test_a_given_split_that_divides_a_site_names_it():
    slides = [slide(0, "a", "north", part="train"), slide(1, "b", "north", part="validation")]
    with pytest.raises(LeakageError, match=r"each site in one part .* north \(train and validation\)"):
        grouped_split(slides, 0.25, 0, "site")
    assert set(grouped_split(slides, 0.25, 0).values()) == {"train", "validation"}

"""Slides of a patient together, and what may be shown of patients."""

from pathlib import Path

from inkdot.records import SlideEntry
from inkdot.review.gallery.gallery import GallerySettings, display_order
from inkdot.review.gallery.patients import with_patients
from inkdot.review.gallery.slide_review import SlideReview

ENTRIES = [
    SlideEntry("a-mgg", Path("a.tif"), patient_id="Jane-7", stain="MGG"),
    SlideEntry("a-pap", Path("b.tif"), patient_id="Jane-7", stain="pap"),
    SlideEntry("b", Path("c.tif"), patient_id="John-9", stain="Dr Smith's mix"),
    SlideEntry("c", Path("d.tif")),
]
ORDER = ["a-pap", "c", "b", "a-mgg"]
"""By priority."""


def shown(*, pseudonymise: bool = False, blinded: bool = False) -> list[SlideReview]:
    reviews = [SlideReview(name, "flagged", 0.9) for name in ORDER]
    names = {entry.slide_id: entry.slide_id for entry in ENTRIES}
    return with_patients(reviews, ENTRIES, names, pseudonymise=pseudonymise, blinded=blinded)


def test_slides_of_a_patient_stand_together_at_the_place_of_the_most_urgent_one() -> None:
    ordered = display_order(shown(), GallerySettings())
    assert [(one.slide_id, one.patient, one.stain) for one in ordered] == [
        ("a-pap", "Jane-7", "pap"),
        ("a-mgg", "Jane-7", "MGG"),
        ("c", "", ""),
        ("b", "John-9", "Dr Smith's mix"),
    ]


def test_under_pseudonyms_patients_are_numbers_and_stains_known_words() -> None:
    found = {one.slide_id: (one.patient, one.stain) for one in shown(pseudonymise=True)}
    assert found == {"a-pap": ("1", "pap"), "a-mgg": ("1", "MGG"), "b": ("2", ""), "c": ("", "")}


def test_a_blinded_review_tells_nothing_about_patients_and_is_shuffled_as_before() -> None:
    blinded = shown(blinded=True)
    assert {(one.patient, one.stain) for one in blinded} == {("", "")}
    without = display_order(
        [SlideReview(name, "flagged", 0.9) for name in ORDER], GallerySettings(blinded_seed=7)
    )
    assert display_order(blinded, GallerySettings(blinded_seed=7)) == without

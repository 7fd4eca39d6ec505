"""Blinded and pseudonymised reviews quote no free text: known sentences are shown, of others only that there are some."""

import numpy as np
import pyarrow as pa
import pytest

from inkdot.config import TilingConfig
from inkdot.model.runtimes.precision import precision_warnings
from inkdot.morphometry.red_cell_reference import RedCellReference
from inkdot.pipeline.results.warnings import ood_reason
from inkdot.review.gallery.shareable_text import (
    OTHER_REASON,
    OTHER_WARNING,
    shareable_reason,
    shareable_warnings,
)
from inkdot.slides.quality_warnings import background_warnings, orientation_warnings, pages_warnings
from inkdot.storage.models.model_records import Guarantee, OperatingPoint
from inkdot.storage.tables.scores import ood_warnings
from inkdot.tiling.clusters.not_tiled import NotTiled, not_looked_at

PERSON = "Erika Mustermann 1950"


def lock_note(patients: int) -> str:
    guarantee = Guarantee(locked=False, confidence=0.9, patients=patients, needed=45, bound=0.5)
    return OperatingPoint(
        class_name="malignant",
        threshold=0.5,
        target_sensitivity=0.95,
        sensitivity=None,
        specificity=None,
        guarantee=guarantee,
    ).lock_note


@pytest.mark.parametrize(
    "reason",
    [
        f"/data/x.geojson: expected a class that the config maps, found {PERSON!r}; add it under annotations.classes",
        f"no cells were found; {PERSON}",
        f"no cells were found {PERSON}",
        f"{PERSON}: no cells were found",
        f"3 nucleated cells in focus, 200 are needed\n{PERSON}",
        f"only the first of {PERSON} pages is read",
        ood_reason(
            [f"stain '{PERSON}' was never seen in training; the model was trained on pap"], 3, "regions"
        ),
        f"stain '{PERSON}' was never seen in training; the model was trained on pap",
        f"stain 'x' was never seen in training; the model was trained on {PERSON}",
        f"colour profile '{PERSON}' is not applied: colours are as stored",
        f"nuclei were found by colour: the cell finder was not trained on stain {PERSON!r}, only on mgg",
        f"cells were found by '{PERSON}', in training by 'shipped': the threshold was not chosen on such clusters",
        f"4 of 9 clusters and lone cells were not looked at: {PERSON}",
    ],
)
@pytest.mark.parametrize("blinded", [False, True])
def test_no_part_of_a_name_is_shown(reason: str, blinded: bool) -> None:
    shown = [shareable_reason(reason, blinded=blinded), *shareable_warnings([reason], blinded=blinded)]
    assert all(shown)  # that there is something to know is still said
    for part in PERSON.split():
        assert [text for text in shown if part in text] == []


def test_known_sentences_are_shown_as_they_are() -> None:
    reason = "3 nucleated cells in focus, 200 are needed; 0.41 mm2 of assessable glass, 10 are needed"
    assert shareable_reason(reason, blinded=True) == reason
    assert shareable_reason("", blinded=True) == ""
    assert shareable_reason("disk error", blinded=False) == OTHER_REASON
    mixed = shareable_reason("no cells were found; disk error", blinded=False)
    assert mixed == f"no cells were found; {OTHER_REASON}"
    assert shareable_warnings(["x", "y | only the first of 3 pages is read"], blinded=False) == (
        OTHER_WARNING,
        "only the first of 3 pages is read",
    )


def test_a_blinded_review_says_nothing_of_what_the_model_found() -> None:
    reason = "no cells were found; 7 regions were flagged all the same: review them"
    assert shareable_reason(reason, blinded=False) == reason
    assert shareable_reason(reason, blinded=True) == "no cells were found"
    band = "the score is in the abstention band between 0.2 and 0.4, where calls were wrong too often on validation data"
    assert shareable_warnings([band], blinded=False) == (band,)
    assert shareable_warnings([band], blinded=True) == ()


def test_the_programs_own_warnings_are_known() -> None:
    """A sentence that is worded anew must be worded anew here too: else readers no longer see it."""
    dark = np.zeros((64, 64, 3), np.uint8)
    red_cells = RedCellReference(90, diameter_px=14.0, interval_px=(13.5, 14.5))
    made = [
        *background_warnings(dark),
        *pages_warnings(3),
        *orientation_warnings(6),
        *precision_warnings("bfloat16", "float32"),
        red_cells.warning(1.0),
        not_looked_at({NotTiled.BUDGET: 4, NotTiled.SMALL: 2}, 40, TilingConfig()),
        not_looked_at({NotTiled.SMALL: 2}, 40, TilingConfig()),
        *(lock_note(patients) for patients in (1, 12)),
        *ood_warnings(pa.table({"ood_distance": [3.0]}), 1.5),
    ]
    assert all(made)
    assert len(made) == 10
    assert shareable_warnings(made, blinded=True) == tuple(made)

"""What is known of a whole slide, from the manifest and from its tiles."""

import numpy as np
import pytest

from inkdot.datasets.slide_labels import only_slide_labelled, slide_targets
from inkdot.labels import DEFAULT_HEADS

NAN = np.nan
UNKNOWN = [NAN, NAN, NAN, NAN]
BENIGN = [1, 0, NAN, NAN]
SMALL = [0, 1, 1, 0]


def targets_of(on_slide, tiles):
    return slide_targets(on_slide, np.array(tiles, np.float32).reshape(-1, 4), DEFAULT_HEADS).tolist()


@pytest.mark.parametrize(
    ("on_slide", "tiles", "expected"),
    [
        ({"malignancy": "malignant", "morphology": "mixed"}, [UNKNOWN], [0, 1, 0.5, 0.5]),
        ({"malignancy": "malignant"}, [UNKNOWN], [0, 1, NAN, NAN]),
        ({"malignancy": "atypical"}, [UNKNOWN], [0.5, 0.5, NAN, NAN]),
        # A morphology that nobody can have seen without a tumour is not learnt from.
        ({"malignancy": "benign", "morphology": "small_cell"}, [BENIGN], [1, 0, NAN, NAN]),
        ({"malignancy": "unsure"}, [BENIGN, SMALL], UNKNOWN),
        ({}, [UNKNOWN, SMALL], [0, 1, NAN, NAN]),
        ({}, [BENIGN, BENIGN], [1, 0, NAN, NAN]),
        ({}, [BENIGN, UNKNOWN], UNKNOWN),
        ({}, [], UNKNOWN),
    ],
)
def test_slide_targets(on_slide, tiles, expected):
    assert targets_of(on_slide, tiles) == pytest.approx(expected, nan_ok=True)


def test_a_positive_slide_without_a_labelled_tile_is_labelled_by_slide_only():
    def slide_label_only(on_slide, tiles):
        rows = np.array(tiles, np.float32)
        return only_slide_labelled(slide_targets(on_slide, rows, DEFAULT_HEADS), rows, DEFAULT_HEADS)

    assert slide_label_only({"malignancy": "malignant"}, [UNKNOWN, UNKNOWN])
    assert not slide_label_only({"malignancy": "malignant"}, [UNKNOWN, BENIGN])
    assert not slide_label_only({"malignancy": "malignant"}, [UNKNOWN, SMALL])
    assert not slide_label_only({"malignancy": "benign"}, [BENIGN, BENIGN])
    assert not slide_label_only({}, [UNKNOWN, UNKNOWN])

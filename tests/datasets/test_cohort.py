"""What a cohort says of slides that it cannot use."""

from pathlib import Path

import numpy as np
import pytest

from inkdot.config import default_config
from inkdot.datasets.cohort import left_out_notes, split_cohort
from inkdot.datasets.tile_cache import LabelledTiles
from inkdot.datasets.tile_sampler import Selection
from inkdot.labels import DEFAULT_HEADS
from inkdot.records import SlideEntry

BENIGN, MALIGNANT = ([1.0, 0.0, np.nan, np.nan], [0.0, 1.0, np.nan, np.nan])


def slide(name: str, label: list[float], *, empty: bool) -> LabelledTiles:
    target = np.array([label], np.float32)
    return LabelledTiles(
        entry=SlideEntry(name, Path(f"{name}.tif"), patient_id=name),
        selection=Selection(np.arange(0 if empty else 1), 0),
        targets=target[:0] if empty else target,
        synthetic=False,
        made_from={},
        source_sha256=name,
        slide_targets=target[0],
        empty=empty,
    )


@pytest.mark.parametrize(
    ("empty", "said"),
    [
        ([], []),
        ([BENIGN], ["1 slide without a tile is in no metric."]),
        (
            [MALIGNANT, BENIGN, MALIGNANT],
            [
                "3 slides without a tile are in no metric, 2 of them labelled malignant: "
                "on all slides expect a lower sensitivity."
            ],
        ),
    ],
)
def test_slides_without_a_tile_are_counted_with_their_labels(
    empty: list[list[float]], said: list[str]
) -> None:
    with_tiles = [
        slide(f"s{index}", label, empty=False) for index, label in enumerate([BENIGN, MALIGNANT] * 4)
    ]
    without = [slide(f"e{index}", label, empty=True) for index, label in enumerate(empty)]
    cohort = split_cohort([*with_tiles, *without], default_config("thinprep"))
    assert left_out_notes(cohort, DEFAULT_HEADS) == said

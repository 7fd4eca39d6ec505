"""A large slide sends heartbeats while it is read for its thumbnail."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from inkdot.execution.watchdog import on_heartbeat, with_heartbeat
from inkdot.records import Mpp, SlideEntry
from inkdot.slides import open_slide
from inkdot.slides.pyramid import write_pyramid


class Speckled:
    """Four kinds of tiles, 9,000 px a side: 81 million pixels."""

    def __init__(self) -> None:
        self.size_px = (9_000, 9_000)
        chance = np.random.default_rng(0)
        self.pool = [np.full((256, 256, 3), chance.integers(100, 250, 3), np.uint8) for _ in range(4)]

    def tile(self, column: int, row: int) -> int:
        return (column + 2 * row) % 4


@pytest.fixture
def beats() -> Iterator[list[int]]:
    counted: list[int] = []
    on_heartbeat(lambda: counted.append(1))
    yield counted
    on_heartbeat(lambda: None)


@pytest.mark.slow
@pytest.mark.parametrize(("downsamples", "least"), [((1,), 3), ((1, 4, 16), 1)])
def test_a_thumbnail_of_one_large_level_sends_a_heartbeat_at_every_strip_and_is_the_same(
    beats: list[int], downsamples: tuple[int, ...], least: int, tmp_path: Path
) -> None:
    path = tmp_path / "s.tif"
    write_pyramid(path, Speckled(), mpp=Mpp.square(0.5), description="", downsamples=downsamples)
    with closing(open_slide(SlideEntry("s", path))) as slide:
        expected = slide.thumbnail(1200)
        reporting = with_heartbeat(slide)
        beats.clear()
        assert np.array_equal(reporting.thumbnail(1200), expected)
        assert len(beats) >= least

"""Single things: frozen, and honest about their units."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from inkdot.records import Mpp, Slide, SlideEntry, TileSpec
from inkdot.slides.array_slide import ArraySlide
from inkdot.units import MicrometresPerPixel, TilePx


def test_tiles_have_a_size_on_the_glass() -> None:
    spec = TileSpec(TilePx(256), MicrometresPerPixel(0.25), TilePx(128))
    assert (spec.side_um, spec.stride_um) == (64.0, 32.0)


@pytest.mark.parametrize(("x", "y", "fraction"), [(0.25, 0.25, 0.0), (0.25, 0.2, 0.2), (0.2, 0.25, 0.2)])
def test_anisotropy_is_relative_to_the_coarser_axis(x: float, y: float, fraction: float) -> None:
    assert Mpp(MicrometresPerPixel(x), MicrometresPerPixel(y)).anisotropy_fraction == pytest.approx(fraction)
    assert Mpp.square(x) == Mpp(MicrometresPerPixel(x), MicrometresPerPixel(x))


def test_records_do_not_change() -> None:
    entry = SlideEntry("a", Path("a.svs"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        entry.slide_id = "b"  # type: ignore[misc]


def test_entries_share_no_mutable_defaults() -> None:
    assert SlideEntry("a", Path("a")).extra is not SlideEntry("b", Path("b")).extra


def test_the_slide_protocol_can_be_checked() -> None:
    slide = ArraySlide(np.zeros((4, 4, 3), np.uint8), 0.25)
    assert isinstance(slide, Slide)
    assert not isinstance(object(), Slide)

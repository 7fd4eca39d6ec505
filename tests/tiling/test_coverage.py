import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inkdot.tiling.coverage import covered_fraction
from inkdot.tiling.foreground.mask_frame import MaskFrame


def brute_force(mask: np.ndarray, frame: MaskFrame, x: int, y: int, width: float, height: float) -> float:
    """Shared area of a rectangle with every mask pixel that is set, one by one."""
    area = 0.0
    for row, column in zip(*np.nonzero(mask), strict=True):
        left = frame.x_l0_px + column * frame.step_x_l0_px
        top = frame.y_l0_px + row * frame.step_y_l0_px
        wide = min(x + width, left + frame.step_x_l0_px) - max(x, left)
        high = min(y + height, top + frame.step_y_l0_px) - max(y, top)
        if wide > 0 and high > 0:
            area += wide * high
    return area / (width * height)


@settings(max_examples=80, deadline=None)
@given(
    mask=hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)),
    offset=st.tuples(st.integers(-20, 50), st.integers(-20, 50)),
    step=st.tuples(st.floats(0.7, 17.3), st.floats(0.7, 17.3)),
    places=st.lists(st.tuples(st.integers(-60, 200), st.integers(-60, 200)), min_size=1, max_size=8),
    size=st.tuples(st.floats(0.5, 90.0), st.floats(0.5, 90.0)),
)
def test_agrees_with_brute_force(mask, offset, step, places, size):
    frame = MaskFrame(*offset, *step, width_px=mask.shape[1], height_px=mask.shape[0], mpp=1.0)
    x, y = np.array(places).T
    found = covered_fraction(mask, frame, x, y, *size)
    expected = [brute_force(mask, frame, *place, *size) for place in places]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_what_lies_beyond_the_mask_is_not_in_it():
    frame = MaskFrame(0, 0, 2.0, 2.0, width_px=5, height_px=5, mpp=1.0)
    fraction = covered_fraction(
        np.ones((5, 5), np.bool_), frame, np.array([0, 5, 10, -5]), np.zeros(4, int), 10.0, 10.0
    )
    assert fraction == pytest.approx([1.0, 0.5, 0.0, 0.5])

"""Shape of small masks."""

import numpy as np
import pytest

from inkdot.morphometry.mask_shape import principal_variances


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0, 135.0])
def test_the_axes_of_a_filled_ellipse_are_four_standard_deviations_long(degrees: float) -> None:
    rows, columns = np.indices((121, 121)) - 60.0
    turned = np.deg2rad(degrees)
    along = columns * np.cos(turned) + rows * np.sin(turned)
    across = rows * np.cos(turned) - columns * np.sin(turned)
    mask = (along / 50.0) ** 2 + (across / 20.0) ** 2 <= 1.0
    longer, shorter = principal_variances(columns[mask], rows[mask])
    assert (4.0 * np.sqrt(longer), 4.0 * np.sqrt(shorter)) == pytest.approx((100.0, 40.0), rel=0.01)


def test_a_row_of_pixels_has_no_width() -> None:
    longer, shorter = principal_variances(np.arange(9), np.full(9, 4))
    assert (longer, shorter) == pytest.approx(((9**2 - 1) / 12, 0.0))

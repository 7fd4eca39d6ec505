"""Shape of small masks."""

import numpy as np
import pytest
import shapely

from inkdot.morphometry.mask_shape import OUTLINE_POINTS, outline, principal_variances


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


@pytest.mark.parametrize("radius", [4, 8, 14, 30, 80])
def test_an_outline_has_the_area_and_place_of_its_mask_with_few_points(radius: int) -> None:
    rows, columns = np.indices((200, 200)) + 0.5
    wave = 1 + 0.15 * np.cos(5 * np.arctan2(rows - 90, columns - 104))
    mask = np.hypot(columns - 104, rows - 90) <= radius * wave
    mask[0, 0] = True  # a speck elsewhere: only the largest part is outlined
    ring = shapely.Polygon(outline(mask))
    mask[0, 0] = False
    assert len(ring.exterior.coords) - 1 <= OUTLINE_POINTS
    assert ring.area == pytest.approx(mask.sum(), rel=0.02)
    middle = (columns[mask].mean(), rows[mask].mean())
    assert ring.centroid.distance(shapely.Point(middle)) < 0.02 * radius + 0.05
    inside = shapely.contains_xy(ring, columns, rows)
    assert (inside & mask).sum() / (inside | mask).sum() > 0.95


def test_a_mask_that_fills_its_array_is_outlined_along_the_edge() -> None:
    assert shapely.Polygon(outline(np.ones((6, 9), np.bool_))).bounds == (0.0, 0.0, 9.0, 6.0)

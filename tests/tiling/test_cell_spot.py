import numpy as np
import pytest

from inkdot.config import SpotConfig
from inkdot.tiling.foreground.cell_spot import find_spot, on_ring, outside_of
from inkdot.tiling.foreground.glass import Glass
from inkdot.tiling.foreground.mask_frame import MaskFrame
from inkdot.tiling.foreground.stain_map import Planes
from inkdot.units import Level0Px

MPP = 25.0  # coarse, so that whole slides are cheap; a spot of 20 mm is 800 px


def glass_slide(width_mm: float, height_mm: float, noise: float = 0.6) -> Planes:
    width, height = round(width_mm * 1000 / MPP), round(height_mm * 1000 / MPP)
    rng = np.random.default_rng(0)
    tone = np.clip(np.rint(rng.normal((243, 241, 238), noise, (height, width, 3))), 0, 255).astype(np.uint8)
    frame = MaskFrame(Level0Px(0), Level0Px(0), 100.0, 100.0, width, height, MPP)
    empty = np.zeros((height, width), np.uint8)
    return Planes(empty, empty.copy(), tone, frame, Glass((243.0, 241.0, 238.0), 0.004, True), 0)


def away_mm(planes: Planes, x_mm: float, y_mm: float) -> np.ndarray:
    rows, columns = np.indices(planes.stained.shape)
    return np.hypot((columns + 0.5) * MPP / 1000 - x_mm, (rows + 0.5) * MPP / 1000 - y_mm)


def print_ring(planes: Planes, x_mm: float, y_mm: float, diameter_mm: float, density: float = 0.02) -> None:
    ring = np.clip(1.0 - ((away_mm(planes, x_mm, y_mm) - diameter_mm / 2) / 0.3) ** 2, 0, 1)
    planes.tone[:] = np.rint(planes.tone * 10.0 ** (-density * ring[..., None])).astype(np.uint8)


def strew(planes: Planes, x_mm: float, y_mm: float, diameter_mm: float, count: int) -> None:
    rng = np.random.default_rng(1)
    r, a = 0.5 * diameter_mm * np.sqrt(rng.random(count)), 2 * np.pi * rng.random(count)
    columns = ((x_mm + r * np.cos(a)) * 1000 / MPP).astype(int)
    rows = ((y_mm + r * np.sin(a)) * 1000 / MPP).astype(int)
    inside = (
        (rows >= 0) & (columns >= 0) & (rows < planes.stained.shape[0]) & (columns < planes.stained.shape[1])
    )
    planes.stained[rows[inside], columns[inside]] = 120
    planes.tone[rows[inside], columns[inside]] = (150, 120, 190)


@pytest.mark.parametrize(
    ("size", "centre", "diameter"),
    [
        ((24.0, 24.0), (12.0, 12.0), 20.0),
        ((26.0, 24.0), (13.4, 11.3), 20.9),
        ((60.0, 25.0), (41.0, 12.2), 19.3),  # the whole slide was scanned
        ((24.0, 13.0), (12.0, 12.5), 20.0),  # half of the spot
        ((17.0, 24.0), (13.0, 12.0), 20.0),  # cut on two sides
    ],
)
@pytest.mark.parametrize("cells", [0, 4000])
def test_the_ring_gives_the_spot_away_whole_or_in_part(size, centre, diameter, cells):
    planes = glass_slide(*size)
    print_ring(planes, *centre, diameter)
    strew(planes, *centre, diameter, cells)
    spot = find_spot(planes, SpotConfig())
    assert spot is not None
    assert spot.by == "ring"
    assert (spot.x_um, spot.y_um) == pytest.approx((centre[0] * 1000, centre[1] * 1000), abs=150)
    assert 2 * spot.radius_um == pytest.approx(diameter * 1000, abs=300)


def test_cells_alone_give_the_spot_away_where_there_are_enough():
    planes = glass_slide(26.0, 25.0)
    strew(planes, 12.6, 12.3, 20.0, 6000)
    spot = find_spot(planes, SpotConfig())
    assert spot is not None
    assert spot.by == "density"
    assert (spot.x_um, spot.y_um) == pytest.approx((12_600, 12_300), abs=600)


def test_a_bright_arc_and_a_pen_outside_do_not_lead_astray():
    planes = glass_slide(30.0, 25.0)
    print_ring(planes, 13.0, 12.5, 20.0)
    arc = (np.abs(away_mm(planes, 13.0, 12.5) - 11.5) < 0.15) & (np.indices(planes.stained.shape)[1] > 800)
    planes.tone[arc], planes.stained[arc] = (60, 60, 60), 255
    planes.tone[100:300, 1000:1060], planes.stained[100:300, 1000:1060] = (5, 12, 80), 255
    spot = find_spot(planes, SpotConfig())
    assert spot is not None
    assert (spot.x_um, spot.y_um, spot.radius_um) == pytest.approx((13_000, 12_500, 10_000), abs=200)
    outside = outside_of(spot, planes.frame, 500.0)
    assert outside[arc].all()
    assert outside.mean() == pytest.approx(1 - np.pi * 10.25**2 / 750, abs=0.02)
    assert not (on_ring(spot, planes.frame, 500.0) & outside).any()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: glass_slide(24.0, 24.0), id="empty glass"),
        pytest.param(lambda: glass_slide(1.0, 0.8), id="a photograph"),
        pytest.param(lambda: _strewn(24.0, 24.0, 60.0), id="cells from edge to edge"),
        pytest.param(lambda: _strewn(24.0, 24.0, 20.0, count=60), id="too few cells to tell"),
        pytest.param(lambda: _section(), id="a section"),
        pytest.param(lambda: _small_spot(), id="a spot of another size"),
    ],
)
def test_no_spot_is_made_up(make):
    assert find_spot(make(), SpotConfig()) is None


def _strewn(width: float, height: float, diameter: float, count: int = 5000) -> Planes:
    planes = glass_slide(width, height)
    strew(planes, width / 2, height / 2, diameter, count)
    return planes


def _section() -> Planes:
    planes = glass_slide(26.0, 24.0)
    tissue = np.zeros(planes.stained.shape, np.bool_)
    tissue[160:800, 200:560] = True
    tissue[300:500, 560:900] = True
    planes.stained[tissue], planes.tone[tissue] = 255, (220, 160, 200)
    return planes


def _small_spot() -> Planes:
    planes = glass_slide(24.0, 24.0)
    print_ring(planes, 12.0, 12.0, 13.0)
    strew(planes, 12.0, 12.0, 13.0, 3000)
    return planes


def test_the_size_is_configured():
    planes = _small_spot()
    spot = find_spot(planes, SpotConfig(diameter_um=13_000.0))
    assert spot is not None
    assert spot.radius_um == pytest.approx(6_500, abs=150)
    assert f"{spot.radius_um / 500:.2f} mm" in spot.words
    assert find_spot(planes, SpotConfig(diameter_um=0.0)) is None

"""Frames and read plans, as properties over many slides rather than a few lucky numbers."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkdot.errors import ResolutionError
from inkdot.geometry import (
    check_resolution,
    grid_positions,
    level_for,
    plan_read,
    scanned_bounds,
    tile_side_l0_px,
    um_to_l0_px,
)
from inkdot.records import BoundsL0, Mpp, SlideInfo, TileSpec
from inkdot.units import Level0Px, LevelPx, Micrometres, MicrometresPerPixel, TilePx


def slide_info(
    size: tuple[int, int], mpp: Mpp, downsamples: tuple[float, ...] = (1.0,), bounds: BoundsL0 | None = None
) -> SlideInfo:
    width, height = size
    return SlideInfo(
        slide_id="s",
        size_l0_px=(Level0Px(width), Level0Px(height)),
        mpp=mpp,
        mpp_source="metadata",
        level_sizes_px=tuple((LevelPx(int(width / d)), LevelPx(int(height / d))) for d in downsamples),
        level_downsamples=downsamples,
        bounds_l0_px=bounds,
    )


def tile_spec(side_px: int, mpp: float, stride_px: int) -> TileSpec:
    return TileSpec(TilePx(side_px), MicrometresPerPixel(mpp), TilePx(stride_px))


plausible_mpp = st.floats(0.08, 2.0)
ladders = st.lists(st.floats(1.2, 6.0), max_size=5).map(
    lambda steps: tuple(itertools.accumulate(steps, lambda a, b: a * b, initial=1.0))
)


@st.composite
def infos(draw: st.DrawFn) -> SlideInfo:
    mpp = draw(plausible_mpp)
    stretch = draw(st.floats(0.95, 1.05))
    size = draw(st.tuples(st.integers(1, 12_000), st.integers(1, 12_000)))
    bounds = None
    if draw(st.booleans()):
        x, y = draw(st.integers(0, size[0] - 1)), draw(st.integers(0, size[1] - 1))
        w, h = draw(st.integers(1, size[0] - x)), draw(st.integers(1, size[1] - y))
        bounds = BoundsL0(Level0Px(x), Level0Px(y), Level0Px(w), Level0Px(h))
    square = Mpp(MicrometresPerPixel(mpp), MicrometresPerPixel(mpp * stretch))
    return slide_info(size, square, draw(ladders), bounds)


@st.composite
def infos_and_specs(draw: st.DrawFn) -> tuple[SlideInfo, TileSpec]:
    """A slide and tiles that it is fine enough for."""
    info = draw(infos())
    finest = max(info.mpp.x, info.mpp.y) / 1.249
    side = draw(st.integers(64, 512))
    return info, tile_spec(side, finest * draw(st.floats(1.0, 30.0)), draw(st.integers(side // 4, side)))


@settings(deadline=None)  # a busy machine is no fault
@given(infos_and_specs(), st.integers(-5000, 50_000), st.integers(-5000, 50_000))
def test_a_plan_is_the_tile_to_half_a_pixel_of_its_level(
    both: tuple[SlideInfo, TileSpec], x: int, y: int
) -> None:
    info, spec = both
    plan = plan_read(info, spec, x, y)
    downsample = info.level_downsamples[plan.level]
    assert (plan.x_l0_px, plan.y_l0_px) == (x, y)
    wanted_um = spec.side_px * spec.mpp
    for pixels, mpp in ((plan.width_level_px, info.mpp.x), (plan.height_level_px, info.mpp.y)):
        assert pixels >= 1
        got_um = pixels * downsample * mpp
        assert abs(got_um - wanted_um) <= (0.5 + 1e-6) * downsample * mpp


@settings(deadline=None)  # a busy machine is no fault
@given(infos_and_specs())
def test_the_level_read_is_fine_enough_and_none_coarser_is(both: tuple[SlideInfo, TileSpec]) -> None:
    info, spec = both
    level = level_for(info, spec.mpp)
    scales = [max(info.mpp.x, info.mpp.y) * downsample for downsample in info.level_downsamples]
    # Level 0 is read where even it is too coarse (up to 1.25 times); another may be by 2 %.
    assert level == 0 or scales[level] <= spec.mpp * 1.0201
    assert all(scale > spec.mpp for scale in scales[level + 1 :])


@settings(deadline=None)  # a busy machine is no fault
@given(infos_and_specs())
def test_a_grid_covers_the_scanned_bounds_with_tiles_inside_them(both: tuple[SlideInfo, TileSpec]) -> None:
    info, spec = both
    bounds = scanned_bounds(info)
    positions = list(itertools.islice(grid_positions(info, spec), 20_000))
    assert positions
    assert len(set(positions)) == len(positions)
    assert positions == sorted(positions, key=lambda position: (position[1], position[0]))
    if len(positions) == 20_000:
        return
    side = tile_side_l0_px(info, spec)
    stride = um_to_l0_px(spec.stride_um, info.mpp)
    starts = (bounds.x_l0_px, bounds.y_l0_px)
    lengths = (bounds.width_l0_px, bounds.height_l0_px)
    for axis in (0, 1):
        starts_of_tiles = sorted({position[axis] for position in positions})
        assert starts_of_tiles[0] == starts[axis]
        assert (
            starts_of_tiles[-1] + side[axis] >= starts[axis] + lengths[axis] - 0.5
        )  # the far edge is covered …
        if lengths[axis] >= side[axis]:
            assert starts_of_tiles[-1] + side[axis] <= starts[axis] + lengths[axis] + 0.5  # … and not passed
        else:
            assert starts_of_tiles == [starts[axis]]
        assert all(b - a <= stride[axis] + 1 for a, b in itertools.pairwise(starts_of_tiles))
    columns = {position[0] for position in positions}
    rows = {position[1] for position in positions}
    assert len(positions) == len(columns) * len(rows)


def test_positions_do_not_drift_along_a_row() -> None:
    # 0.2301 µm/px, tiles of 256 px at 0.5: a tile is 556.28 px wide; rounded once per tile, the hundredth
    # tile would be 28 px off.
    info = slide_info((100_000, 600), Mpp.square(0.2301))
    spec = tile_spec(256, 0.5, 256)
    xs = [x for x, _ in grid_positions(info, spec)]
    assert xs[100] == round(100 * 256 * 0.5 / 0.2301) == 55628
    assert xs[-1] == round(100_000 - 256 * 0.5 / 0.2301)


@settings(deadline=None)  # a busy machine is no fault
@given(plausible_mpp, st.floats(0.5, 3.0))
def test_detail_is_never_invented_beyond_a_quarter(mpp: float, ratio: float) -> None:
    info = slide_info((1000, 1000), Mpp.square(mpp))
    requested_mpp = mpp / ratio
    if ratio > 1.2501:
        with pytest.raises(ResolutionError, match="found"):
            plan_read(info, tile_spec(256, requested_mpp, 256), 0, 0)
    elif ratio < 1.2499:
        check_resolution(info, requested_mpp)


def test_the_refusal_names_both_scales_and_the_key_to_change() -> None:
    info = slide_info((1000, 1000), Mpp.square(0.5))
    with pytest.raises(ResolutionError, match=r"at most 0\.312 .* at 0\.25 .* found 0\.5 .* tiling\.mpp"):
        check_resolution(info, 0.25)


def test_the_coarser_axis_decides() -> None:
    # 0.25 x 0.26 at downsample 2 is 0.52 on one axis: too coarse for tiles at 0.5.
    info = slide_info((8000, 8000), Mpp(MicrometresPerPixel(0.25), MicrometresPerPixel(0.26)), (1.0, 2.0))
    assert level_for(info, 0.5) == 0
    assert level_for(info, 0.52) == 1
    plan = plan_read(info, tile_spec(256, 0.5, 256), 0, 0)
    assert (plan.width_level_px, plan.height_level_px) == (512, 492)


def test_a_level_a_hair_too_coarse_is_still_read() -> None:
    info = slide_info((8000, 8000), Mpp.square(0.2506), (1.0, 2.0))
    assert level_for(info, 0.25) == 0
    assert level_for(info, 0.5) == 1
    assert level_for(info, 0.49) == 0
    aperio = slide_info((8000, 8000), Mpp.square(0.2528), (1.0, 2.0))
    assert level_for(aperio, 0.5) == 1


@settings(deadline=None)  # a busy machine is no fault
@given(st.floats(0.1, 1e5), plausible_mpp, plausible_mpp)
def test_lengths_convert_per_axis(length: float, x: float, y: float) -> None:
    mpp = Mpp(MicrometresPerPixel(x), MicrometresPerPixel(y))
    along_x, along_y = um_to_l0_px(Micrometres(length), mpp)
    assert along_x * x == pytest.approx(length)
    assert along_y * y == pytest.approx(length)


def test_a_slide_smaller_than_a_tile_gets_one_tile_at_its_corner() -> None:
    bounds = BoundsL0(Level0Px(7), Level0Px(9), Level0Px(20), Level0Px(30))
    info = slide_info((100, 100), Mpp.square(0.25), bounds=bounds)
    assert list(grid_positions(info, tile_spec(256, 0.25, 128))) == [(7, 9)]

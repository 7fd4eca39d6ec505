"""Images of whole slides: everything lies where it is, and colours are safe for colour blindness."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from inkdot.review.gallery.fields import scale_bar
from inkdot.review.results.merged_regions import rank_merged_regions
from inkdot.review.results.scored_slide import ScoredSlide
from inkdot.review.slide_images.caption import (
    LEAST_WIDTH_PX,
    Caption,
    draw_text,
    drawable,
    typeface,
    with_caption,
    with_provenance,
)
from inkdot.review.slide_images.heat_map import heat_map, indexed, palette
from inkdot.review.slide_images.overview import overview_image
from inkdot.review.slide_images.score_colours import BELOW, FLAGGED, STEPS, shade_rows, shades
from inkdot.review.slide_images.slide_view import SlideView
from inkdot.storage.tables.predictions import Prediction

SAID = Prediction("slide", "done", "flagged", score="0.9000")
SIGHT = {  # Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB
    "all cones": np.eye(3),
    "no red": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "no green": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "no blue": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip


def lab(rgb: np.ndarray, sight: str) -> np.ndarray:
    """CIE L*a*b* (D65) of colours [n, 3] of 0 to 255, as somebody with such eyes sees them."""
    plain = rgb / 255.0
    linear = np.where(plain <= 0.04045, plain / 12.92, ((plain + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ SIGHT[sight].T, 0.0, 1.0)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = seen @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_are_safe_for_colour_blindness(sight: str) -> None:
    seen = lab(shades().astype(float), sight)
    last_below, first_flagged = seen[STEPS - 1], seen[STEPS]
    assert np.linalg.norm(last_below - first_flagged) > 25.0  # 2.3 is just noticed
    assert (np.diff(seen[:STEPS, 0]) < 0.0).all()
    assert (np.diff(seen[STEPS:, 0]) < 0.0).all()
    # Any flagged shade is at least as far from every shade below as neighbours in the legend are.
    distances = np.linalg.norm(seen[:STEPS, None] - seen[None, STEPS:], axis=2)
    assert distances.min() > 20.0
    rings = lab(np.array([FLAGGED, BELOW], float), sight)
    assert np.linalg.norm(rings[0] - rings[1]) > 25.0


def test_shades_follow_the_score_and_turn_at_the_operating_point() -> None:
    scores = np.array([0.0, 0.4, 0.79999, 0.8, 0.9, 1.0])
    assert shade_rows(scores, scores >= 0.8, 0.8).tolist() == [0, 32, 63, 64, 96, 127]
    assert shade_rows(np.array([0.0, 1.0]), np.array([True, True]), 0.0).tolist() == [64, 127]
    assert shade_rows(np.array([0.5, 1.0]), np.array([False, True]), 1.0).tolist() == [32, 127]


def view_of(slide: ScoredSlide, width: int = 500, height: int = 400) -> SlideView:
    image = np.full((height, width, 3), 240, np.uint8)
    return SlideView(image, np.zeros((height, width), np.bool_), slide.facts.frame)


def shown_colours(image: np.ndarray, shade: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what has a shade's colour above the caption."""
    found = np.argwhere((image[:400] == shades()[shade]).all(axis=2))
    (top, left), (bottom, right) = found.min(axis=0), found.max(axis=0)
    return int(left), int(top), int(right), int(bottom)


def test_a_tile_is_drawn_at_its_position(make_slide) -> None:
    """10,000 x 8,000 pixels shown at a twentieth; tiles of 100 px at 0.5 µm/px."""
    slide = make_slide([(2000, 1000), (6000, 4000)], [0.9, 0.2])
    image = heat_map(view_of(slide), slide, SAID)
    high, low = shade_rows(np.array([0.9, 0.2]), np.array([True, False]), 0.5)
    assert shown_colours(image, high) == (100, 50, 104, 54)
    assert shown_colours(image, low) == (300, 200, 304, 204)


def test_the_highest_tile_lies_on_top(make_slide) -> None:
    slide = make_slide([(2000, 1000), (2000, 1000), (2000, 1000)], [0.3, 0.9, 0.6])
    image = heat_map(view_of(slide), slide, SAID)
    assert shown_colours(image, int(shade_rows(np.array([0.9]), np.array([True]), 0.5)[0])) == (
        100,
        50,
        104,
        54,
    )


def test_bounds_and_non_square_pixels_are_respected(make_slide) -> None:
    slide = make_slide([(3000, 3000)], [0.9], mpp=(0.5, 1.0), bounds=(1000, 2000, 5000, 4000))
    image = heat_map(view_of(slide), slide, SAID)  # a tenth of the bounds
    shade = int(shade_rows(np.array([0.9]), np.array([True]), 0.5)[0])
    assert shown_colours(image, shade) == (200, 100, 209, 104)


def test_what_is_not_assessed_is_hatched_and_tiles_are_not(make_slide) -> None:
    slide = make_slide([(2000, 1000)], [0.9])
    view = view_of(slide)
    view.not_assessed[40:200, 90:300] = True
    image = heat_map(view, slide, SAID)
    dark = (image[:400, :500] < 100).all(axis=2)
    dark[50:55, 100:105] = False
    assert 0.2 < dark[40:200, 90:300].mean() < 0.4
    assert not dark[:40].any()
    assert not dark[200:].any()
    assert shown_colours(image, int(shade_rows(np.array([0.9]), np.array([True]), 0.5)[0])) == (
        100,
        50,
        104,
        54,
    )


def test_the_palette_holds_every_shade_exactly_and_greys_to_the_nearest(make_slide) -> None:
    slide = make_slide([(100 * step, 100 * step) for step in range(60)], np.linspace(0, 1, 60))
    image = heat_map(view_of(slide), slide, SAID)
    back = palette()[indexed(image)]
    coloured = (image != image[..., :1]).any(axis=2)
    assert coloured.any()
    assert np.array_equal(back[coloured], image[coloured])
    assert np.abs(back[~coloured].astype(int) - image[~coloured]).max() <= 2


def test_regions_are_ringed_at_their_position(make_slide) -> None:
    slide = make_slide([(2000, 1000), (6000, 4000)], [0.9, 0.2])
    view = view_of(slide)
    image = overview_image(view, slide.facts, rank_merged_regions(slide, 30, 0.75), SAID)
    changed = (image[:400, :500] != 240).any(axis=2)
    for (x, y), colour in (((102, 52), FLAGGED), ((302, 202), BELOW)):
        ring = np.argwhere((image[:400] == colour).all(axis=2))
        near = ring[np.hypot(ring[:, 1] - x, ring[:, 0] - y) < 16]
        assert np.abs(near.mean(axis=0)[::-1] - (x, y)).max() < 1.5
        assert not changed[y - 4 : y + 5, x - 4 : x + 5].any()  # the cells stay visible
    assert view.image.min() == 240  # the image given is left alone


def test_a_large_region_has_its_own_outline(make_slide) -> None:
    slide = make_slide([(2000, 1000)], [0.9])
    (region,) = (ranking := rank_merged_regions(slide, 30, 0.75)).regions
    corners = ((1000, 1000), (5000, 1000), (1000, 5000), (1000, 1000))
    large = replace(region, x_l0_px=1000, y_l0_px=1000, width_l0_px=4000, height_l0_px=4000, outline=corners)
    image = overview_image(view_of(slide), slide.facts, replace(ranking, regions=(large,)), SAID)
    assert tuple(image[50, 150]) == FLAGGED  # an edge
    assert tuple(image[150, 150]) == FLAGGED  # the slanted edge
    assert (image[200:245, 200:245] == 240).all()  # beyond it, within the box


@pytest.mark.parametrize(("width", "mpp"), [(500, 0.5), (1600, 12.5), (90, 1.0)])
def test_the_scale_bar_has_its_stated_length(width: int, mpp: float) -> None:
    bar = scale_bar(width * mpp)
    caption = Caption("slide", False, bar, [], [])
    image = with_caption(np.full((50, width, 3), 240, np.uint8), caption)
    assert image.shape[1] == max(width, LEAST_WIDTH_PX)
    length = round(bar.length_um / mpp)
    black = (image[50:] == 0).all(axis=2)
    rows = [row for row in black if row[12 : 12 + length].all()]
    assert len(rows) == 6
    assert not any(row[12 + length : 20 + length].any() for row in rows)


def test_a_synthetic_slide_is_marked_above_and_below(make_slide) -> None:
    slide = make_slide([(2000, 1000)], [0.9], synthetic_model=True)
    real = make_slide([(2000, 1000)], [0.9])
    says, silent = (heat_map(view_of(one), one, SAID) for one in (slide, real))
    band = len(says) - len(silent)
    assert 20 < band < 60
    assert (says[:band] < 100).any()
    assert (says[:band, 200:] == 255).all()
    assert np.array_equal(says[band : band + 400, :500], silent[:400, :500])  # nothing of the slide is hidden
    assert not np.array_equal(says[band + 400 : band + 440], silent[400:440])


def test_every_warning_takes_its_line(make_slide) -> None:
    heights = []
    for warnings in ((), ("one",), ("one", "two"), ("one", "word " * 100)):
        slide = make_slide([(2000, 1000)], [0.9], warnings=warnings)
        heights.append(
            len(overview_image(view_of(slide), slide.facts, rank_merged_regions(slide, 3, 0.75), SAID))
        )
    one = heights[1] - heights[0]
    assert 15 < one < 40
    assert heights[2] - heights[1] == one
    assert heights[3] > heights[2] + 3 * 15


def test_names_are_drawn_in_characters_of_the_typeface() -> None:
    assert drawable("Łódź 5 µm\n\x00漢·") == "?odz 5 µm???·"
    assert drawable("5 \u03bcm") == "5 µm"  # the Greek letter, as some write it


def test_a_micro_sign_is_a_u_with_a_longer_first_stroke() -> None:
    drawn: list[np.ndarray] = []
    for letter in "uµ":
        image = Image.new("L", (40, 60), 255)
        draw_text(ImageDraw.Draw(image), (5, 5), letter, 0, typeface(30))  # type: ignore[arg-type]
        drawn.append(np.asarray(image))
    u, micro = drawn
    assert (micro <= u).all()
    added = np.argwhere(u.astype(int) - micro > 60)
    assert len(added) > 10
    foot, left = np.argwhere(u < 100)[:, 0].max(), np.argwhere(u < 100)[:, 1].min()
    assert added[:, 0].max() > foot + 3
    assert added[:, 1].min() >= left - 1
    assert added[:, 1].max() <= left + 4


def test_provenance_stands_below_an_image_of_the_same_width() -> None:
    image = np.full((300, 400, 3), 120, np.uint8)
    found = with_provenance(image, scale_bar(100.0), ["S1 · 0.25 µm per pixel"])
    assert found.shape[1] == 400
    assert np.array_equal(found[:300], image)
    dark = (found[300:] < 10).all(axis=2)
    bar = np.flatnonzero(dark[:, 12:92].all(axis=1))
    assert len(bar) == 6
    assert not dark[bar, 92].any()  # 80 pixels: 20 of 100 µm

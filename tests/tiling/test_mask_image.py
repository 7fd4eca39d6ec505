import io

import numpy as np
import pytest
from PIL import Image

from inkdot.config import default_config
from inkdot.slides.array_slide import ArraySlide
from inkdot.tiling.foreground.find_foreground import find_foreground
from inkdot.tiling.mask_image import draw_mask, not_assessable_in, png_bytes

TILE, DROPPED, IN_NO_TILE = (0, 110, 50), (230, 140, 0), (60, 100, 200)


@pytest.fixture
def slide(scene, stains):
    drawn = scene(400, 300, 0.5)
    drawn.disc(100, 100, 20.0, 0.8, stains["haematoxylin"])
    drawn.disc(300, 100, 20.0, 0.8, stains["haematoxylin"])
    drawn.disc(200, 250, 2.5, 1.2, stains["haematoxylin"])
    return ArraySlide(drawn.render(), 0.5)


def mask_of(slide) -> np.ndarray:
    foreground = find_foreground(slide, default_config("thinprep").tiling)
    # One tile of 64 µm round the first cell only.
    return draw_mask(
        slide.thumbnail(400), slide.info, foreground, np.array([136]), np.array([136]), (128.0, 128.0)
    )


def coloured(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.argwhere(np.all(image[:300] == colour, axis=2))


def test_what_was_kept_and_dropped_is_where_it_is_on_the_slide(slide):
    mask = mask_of(slide)
    assert mask.shape[1] == 400
    outline = coloured(mask, TILE)
    assert outline.min(axis=0).tolist() == [68, 68]
    assert outline.max(axis=0).tolist() == [132, 132]
    assert np.abs(coloured(mask, IN_NO_TILE).mean(axis=0) - (100, 300)).max() < 4
    assert np.abs(coloured(mask, DROPPED).mean(axis=0) - (250, 200)).max() < 4


def test_the_legend_stands_below(slide):
    mask = mask_of(slide)
    assert mask.shape[0] > 300 + 60
    below = mask[300:]
    for colour in (TILE, DROPPED, IN_NO_TILE):
        assert np.all(below == colour, axis=2).any()


def test_the_file_is_small_exact_in_the_legends_colours_and_the_same_every_time(slide):
    mask = mask_of(slide)
    data = png_bytes(mask)
    assert data == png_bytes(mask_of(slide))
    plain = io.BytesIO()
    Image.fromarray(mask).save(plain, format="PNG", optimize=True)
    assert len(data) < 0.7 * len(plain.getvalue())
    decoded = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    for colour in (TILE, DROPPED, IN_NO_TILE):
        assert np.array_equal(coloured(decoded, colour), coloured(mask, colour))


def test_what_was_not_judged_can_be_read_back(slide):
    """The cell in no tile counts; the speck, under which there is nothing to judge, does not."""
    mask = mask_of(slide)
    hidden = not_assessable_in(png_bytes(mask), 300)
    assert hidden.shape == (300, 400)
    assert np.array_equal(np.argwhere(hidden), coloured(mask, IN_NO_TILE))


def test_a_cell_on_a_clot_shows_however_small_the_image(scene, stains):
    """One pixel of the image holds cell and clot: the cell must not vanish under the colour of the clot."""
    drawn = scene(1600, 1600, 2.0)
    drawn.box(200, 200, 1200, 1200, 0.1, (0.3, 1.0, 0.4))
    drawn.disc(800, 800, 14.0, 1.0, stains["haematoxylin"])
    slide = ArraySlide(drawn.render(1.0), 2.0)
    foreground = find_foreground(slide, default_config("cytospin").tiling)
    image = draw_mask(slide.thumbnail(100), slide.info, foreground, np.array([]), np.array([]), (32.0, 32.0))
    shown = image[:100]
    assert np.all(shown == (245, 150, 190), axis=2).mean() > 0.4
    found = np.argwhere(np.all(shown == IN_NO_TILE, axis=2))
    assert len(found) >= 1
    assert np.abs(found - 50).max() <= 1

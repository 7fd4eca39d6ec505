import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from inkdot.labels import DEFAULT_HEADS
from inkdot.records import BoundsL0, Mpp, TileSpec
from inkdot.review.gallery.card_images import (
    NAME,
    crop_to_bounds,
    image_name,
    jpeg_bytes,
    jpeg_size,
    provenance,
)
from inkdot.review.gallery.fields import Field
from inkdot.review.results.scored_slide import ScoreFacts, SlideFrame
from inkdot.units import Level0Px, MicrometresPerPixel, TilePx


def frame(bounds: tuple[int, int, int, int]) -> SlideFrame:
    left, top, width, height = (Level0Px(value) for value in bounds)
    size = (Level0Px(8000), Level0Px(4000))
    return SlideFrame("s", size, Mpp.square(0.25), "metadata", BoundsL0(left, top, width, height), False)


def test_an_overview_shows_the_scanned_part_alone() -> None:
    thumbnail = np.full((200, 400, 3), 255, dtype=np.uint8)
    thumbnail[50:150, 100:300] = 7  # scanned: level-0 px 2000 to 6000 along x, 1000 to 3000 along y
    cropped = crop_to_bounds(thumbnail, frame((2000, 1000, 4000, 2000)))
    assert cropped.shape == (100, 200, 3)
    assert (cropped == 7).all()


def test_without_bounds_an_overview_shows_everything() -> None:
    thumbnail = np.zeros((200, 400, 3), dtype=np.uint8)
    assert crop_to_bounds(thumbnail, frame((0, 0, 8000, 4000))).shape == thumbnail.shape


def test_a_sliver_of_bounds_still_gives_an_image() -> None:
    thumbnail = np.zeros((200, 400, 3), dtype=np.uint8)
    assert crop_to_bounds(thumbnail, frame((7990, 3995, 5, 5))).size > 0


def test_names_are_hashes_that_tell_images_apart() -> None:
    names = [
        image_name("</a>", 1),
        image_name("</a>", 2),
        image_name("</a>1"),
        image_name("</a>", "1"),
    ]
    assert len(set(names)) == 4
    assert all(NAME.fullmatch(name) for name in names)
    assert names[0] == image_name("</a>", 1)


def test_jpegs_keep_colours_at_full_resolution_and_carry_no_metadata(tmp_path: Path) -> None:
    stripes = np.zeros((40, 60, 3), dtype=np.uint8)
    stripes[:, ::2] = (200, 30, 30)
    stripes[:, 1::2] = (30, 30, 200)
    data = jpeg_bytes(stripes)
    assert data == jpeg_bytes(stripes)
    image = Image.open(io.BytesIO(data))
    assert not image.getexif()
    # One-pixel stripes of colour survive only where chroma is not halved.
    assert np.abs(np.asarray(image).astype(int) - stripes).mean() < 12
    path = tmp_path / "p.jpg"
    path.write_bytes(data)
    assert jpeg_size(path) == (60, 40)


def test_an_image_names_its_slide_as_the_page_does_and_holds_no_score() -> None:
    spec = TileSpec(TilePx(256), MicrometresPerPixel(0.25), TilePx(256))
    facts = ScoreFacts(
        frame=replace(frame((0, 0, 8000, 4000)), slide_id="Smith 1"),
        spec=spec, heads=DEFAULT_HEADS, threshold=0.5, model_sha256="ab" * 32, tiles_sha256="cd" * 32,
        warnings=("Smith",), synthetic_model=True,
    )  # fmt: skip
    text = "\n".join(provenance("slide-7f3a", facts, Field(4000, 2000, spec)))
    assert "slide-7f3a · 1.03, 0.53 mm · 0.25 µm per pixel" in text  # the middle of 64 µm from 1.0 and 0.5 mm
    assert "abababababab, trained on synthetic specimens" in text
    assert "Smith" not in text

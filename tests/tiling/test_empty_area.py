"""Areas without pixels in the file are named and not assessed; where another level shows stain, the slide is damaged."""

from contextlib import closing
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from fixtures.sparse_tiff import empty_tiles

from inkdot.config import Config
from inkdot.errors import UnreadableSlideError
from inkdot.records import Mpp, Preparation, RgbArray, SlideEntry
from inkdot.slides import open_slide
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.tiling.cut_slide import SlideTiles, cut_slide
from inkdot.tiling.foreground.foreground_classes import ForegroundClass

SIDE_PX, TILE_PX = 1536, 256
COLUMNS = SIDE_PX // TILE_PX
STAINED = [row * COLUMNS + column for row in (2, 3) for column in (2, 3)]
GLASS = [0, COLUMNS - 1]


def scene() -> RgbArray:
    """Tissue in the middle of glass, all in whole tiles but for noise."""
    rng = np.random.default_rng(3)
    rgb = np.full((SIDE_PX, SIDE_PX, 3), 243.0)
    rgb[300:1200, 300:1200] = (215, 150, 190)
    for x, y in rng.integers(320, 1160, (300, 2)):
        rgb[y : y + 14, x : x + 14] = (92, 62, 150)
    return np.clip(rgb + rng.normal(0, 2, rgb.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("pyramid") / "s.tif"
    write_array_pyramid(path, scene(), mpp=Mpp.square(0.5), downsamples=(1, 2, 4))
    return path.read_bytes()


@pytest.fixture(scope="module")
def one_level(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("flat") / "s.tif"
    write_array_pyramid(path, scene(), mpp=Mpp.square(0.5), downsamples=(1,))
    return path.read_bytes()


def cut(path: Path, preparation: Preparation = "section") -> SlideTiles:
    tiling = {"side_px": 128, "mpp": 0.5, "stride_px": 128, "mode": "grid"}
    config = Config.model_validate({"schema_version": 1, "preparation": preparation, "tiling": tiling})
    with closing(open_slide(SlideEntry("s", path))) as slide:
        return cut_slide(slide, config.tiling, config.head_records, preparation)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("offsets", [False, True])
@pytest.mark.parametrize("page", [0, 1, 2])
def test_a_level_that_lacks_stained_tiles_is_damaged(
    pyramid: bytes, tmp_path: Path, page: int, offsets: bool
) -> None:
    tiles = STAINED if page == 0 else range(4)
    path = empty_tiles(written(tmp_path / "s.tif", pyramid), tiles, page=page, offsets=offsets)
    with pytest.raises(UnreadableSlideError, match=rf"tiles of level {page} empty, and stain there on level"):
        cut(path)


def test_tiles_lost_at_the_rim_are_damage_too(pyramid: bytes, tmp_path: Path) -> None:
    """OpenSlide then states bounds that leave the rim out."""
    path = empty_tiles(written(tmp_path / "s.tif", pyramid), range(3 * COLUMNS))
    with pytest.raises(UnreadableSlideError, match="18 of 36 tiles of level 0 empty, and stain there"):
        cut(path)


@pytest.mark.parametrize(("quality", "subsampling"), [(95, "444"), (40, "420")])
@pytest.mark.parametrize("downsamples", [(1, 2, 4), (1, 8), (1, 4, 16)])
def test_glass_beside_tissue_may_be_left_out(
    tmp_path: Path, quality: int, subsampling: Literal["444", "420"], downsamples: tuple[int, ...]
) -> None:
    """Levels are blurred across the border, and JPEG adds rings."""
    rgb = scene()
    kept = (slice(2 * TILE_PX, 4 * TILE_PX),) * 2
    rgb[:, :] = 243
    rgb[kept] = scene()[kept]
    path = tmp_path / "s.tif"
    write_array_pyramid(
        path, rgb, mpp=Mpp.square(0.5), downsamples=downsamples, quality=quality, subsampling=subsampling
    )
    for empty in (set(range(COLUMNS**2)) - set(STAINED), {8, 13, 16, 26}):
        sparse = cut(empty_tiles(path, empty))
        assert sparse.tiles.num_rows == 16


def test_empty_glass_that_was_not_stored_is_named_and_nothing_is_lost(pyramid: bytes, tmp_path: Path) -> None:
    whole = cut(written(tmp_path / "whole.tif", pyramid))
    path = empty_tiles(written(tmp_path / "s.tif", pyramid), GLASS)
    with closing(open_slide(SlideEntry("s", path))) as slide:
        assert slide.info.warnings == (
            "5.6% of the slide has no pixels in the file (level 0): it is shown white and not assessed",
        )
    sparse = cut(path)
    assert sparse.tiles.equals(whole.tiles)
    area = sparse.foreground.areas_um2()[ForegroundClass.NO_PIXELS] / 1e6
    assert area == pytest.approx(2 * (TILE_PX * 0.5 / 1000) ** 2, rel=0.02)
    assert sparse.assessment.areas_mm2["no_pixels"] == pytest.approx(area, abs=1e-6)


def test_area_that_no_level_has_is_not_assessed(one_level: bytes, tmp_path: Path) -> None:
    """Nothing tells whether it was stained: it is taken from what can be assessed, and from the tiles."""
    whole = cut(written(tmp_path / "whole.tif", one_level), "cytospin")
    lost = cut(empty_tiles(written(tmp_path / "s.tif", one_level), STAINED), "cytospin")
    fraction = len(STAINED) / COLUMNS**2
    assert lost.assessment.unassessable_fraction >= whole.assessment.unassessable_fraction + 0.9 * fraction
    assert lost.assessment.assessable_mm2 < whole.assessment.assessable_mm2 * (1 - 0.9 * fraction)
    assert lost.tiles.num_rows < whole.tiles.num_rows

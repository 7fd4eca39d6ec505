"""Red cells are told from grains of stain and from lymphocytes; dark clusters are neither."""

import numpy as np
import pytest

from inkdot.config import default_config
from inkdot.slides.array_slide import ArraySlide, pyramid_of
from inkdot.tiling.clusters.find_objects import find_objects
from inkdot.tiling.foreground.find_foreground import find_foreground
from inkdot.tiling.foreground.foreground_classes import OPAQUE, ForegroundClass

CYTOSPIN = default_config("cytospin").tiling
GREYISH = (0.21, 0.25, 0.19)  # red cells in May-Grünwald-Giemsa


def seen(drawn):
    slide = ArraySlide(pyramid_of(drawn.render(), (1, 4)), drawn.mpp)
    return slide, find_foreground(slide, CYTOSPIN)


def under(foreground, places) -> list[ForegroundClass]:
    return [ForegroundClass(int(foreground.classes[int(y / 4), int(x / 4)])) for x, y in places]


def test_red_cells_are_no_precipitate_and_grains_no_red_cells(scene, stains):
    drawn = scene(400, 400, 0.25)
    red_cells = [(60.7 + 61.3 * i, 82.9) for i in range(5)]
    grains = [(60.7 + 61.3 * i, 202.9) for i in range(5)]
    lymphocytes = [(60.7 + 61.3 * i, 322.9) for i in range(5)]
    for x, y in red_cells:
        drawn.disc(x, y, 7.6, 0.8, GREYISH)
    for x, y in grains:
        drawn.disc(x, y, 3.0, 1.5, stains["haematoxylin"])
        drawn.disc(x, y + 60, 5.0, 0.9, GREYISH)  # debris as pale as a red cell, but smaller
    for x, y in lymphocytes:
        drawn.disc(x, y, 7.0, 0.8, stains["haematoxylin"])
    slide, foreground = seen(drawn)
    assert under(foreground, red_cells) == [ForegroundClass.RED_CELL] * 5
    assert under(foreground, grains) == [ForegroundClass.PRECIPITATE] * 5
    assert under(foreground, [(x, y + 60) for x, y in grains]) == [ForegroundClass.PRECIPITATE] * 5
    assert under(foreground, lymphocytes) == [ForegroundClass.FOREGROUND] * 5
    assert len(find_objects(slide, foreground, CYTOSPIN).objects) == 5


@pytest.mark.parametrize("concentration", [1.0, 2.0])
@pytest.mark.parametrize("stain", [(0.651, 0.701, 0.290), (0.60, 0.66, 0.50)])
def test_large_dark_moulded_clusters_are_no_artefact(scene, concentration, stain):
    """Overlapping nuclei, blue and purple-brown, up to 2.5 times as dark as one."""
    drawn = scene(500, 500, 0.5)
    rng = np.random.default_rng(4)
    for x, y in rng.normal(250, 30, (80, 2)):
        drawn.disc(float(x), float(y), float(rng.uniform(10, 16)), 0.5 * concentration, stain)
    _, foreground = seen(drawn)
    artefacts = OPAQUE | {ForegroundClass.CLOT}
    assert foreground.of(artefacts).sum() <= 0.01 * foreground.mask.sum()

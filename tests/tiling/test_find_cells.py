import numpy as np
import pytest

from inkdot.cell_finder import load_cell_finder
from inkdot.config import TilingConfig
from inkdot.slides.array_slide import ArraySlide, pyramid_of
from inkdot.tiling.clusters import find_cells as module
from inkdot.tiling.clusters.detect import detect_nuclei
from inkdot.tiling.clusters.find_cells import find_cells
from inkdot.tiling.foreground.find_foreground import find_foreground

LIGHT_GREEN = (0.947, 0.254, 0.197)
TILING = TilingConfig(mode="clusters", cell_finder="shipped")


def found_on(slide, tiling=TILING, stain=""):
    return detect_nuclei(slide, find_foreground(slide, tiling), tiling, stain)


def middles(found):
    return np.array(
        [(thing.outline_um.min(axis=0) + thing.outline_um.max(axis=0)) / 2 for thing in found.objects]
    )


@pytest.mark.parametrize(("mpp", "downsamples"), [(0.2301, (1, 4)), (0.5, (1, 2))])
def test_cells_have_their_place_and_nuclear_size(scene, stains, mpp, downsamples):
    drawn = scene(400, 300, mpp)
    places = [(60.3, 70.8), (200.0, 150.4), (341.7, 233.1)]
    for x, y in places:
        drawn.disc(x, y, 20.0, 0.15, LIGHT_GREEN)
        drawn.disc(x, y, 10.0, 0.6, stains["haematoxylin"])
    found = found_on(ArraySlide(pyramid_of(drawn.render(), downsamples), mpp))
    order = np.lexsort(middles(found).T[::-1])
    assert np.abs(middles(found)[order] - places).max() < 1.5
    assert [thing.nuclei for thing in found.objects] == [1, 1, 1]
    for thing in found.objects:
        assert thing.diameter_um == pytest.approx(10.0, rel=0.15)
        assert 0.0 < thing.score <= 1.0


def test_every_cell_is_found_once_wherever_windows_and_blocks_meet(scene, stains):
    """Cells every 31 µm in x and 47 µm in y meet the edges of windows (64 µm) and blocks (576 µm) in every way."""
    drawn = scene(1300, 700, 0.5)
    places = [(30.0 + 31.0 * k, 40.0 + 47.0 * row) for row in range(13) for k in range(40)]
    for x, y in places[::3]:
        drawn.disc(x, y, 18.0, 0.15, LIGHT_GREEN)
        drawn.disc(x, y, 10.0, 0.6, stains["haematoxylin"])
    found = found_on(ArraySlide(drawn.render(), 0.5))
    assert len(found.objects) == len(places[::3])


def test_windows_and_whole_blocks_find_the_same_cells(scene, stains, monkeypatch):
    drawn = scene(500, 400, 0.5)
    rng = np.random.default_rng(1)
    for x, y in rng.uniform(30, 370, (25, 2)):
        drawn.disc(x, y, 9.0, 0.6, stains["haematoxylin"])
    slide = ArraySlide(drawn.render(), 0.5)
    foreground, finder = find_foreground(slide, TILING), load_cell_finder()
    by_windows = find_cells(slide, foreground, TILING, finder)
    monkeypatch.setattr(module, "_MOST_WINDOWS", 0.0)
    by_block = find_cells(slide, foreground, TILING, finder)
    assert len(by_windows.objects) == len(by_block.objects) > 15
    assert np.abs(np.sort(middles(by_windows), axis=0) - np.sort(middles(by_block), axis=0)).max() < 0.6


def test_results_do_not_depend_on_the_number_of_threads(scene, stains, monkeypatch):
    drawn = scene(1300, 300, 0.5)
    for k in range(40):
        drawn.disc(30 + 31 * k, 150, 9.0, 0.6, stains["haematoxylin"])
    slide = ArraySlide(drawn.render(), 0.5)
    runs = []
    for threads in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        runs.append([(*thing.outline_um.ravel(), thing.od, thing.score) for thing in found_on(slide).objects])
    assert runs[0] == runs[1] != []


def test_a_stain_that_was_never_trained_on_is_searched_by_colour_and_says_so(scene, stains):
    drawn = scene(300, 200, 0.5)
    drawn.disc(100, 100, 12.0, 0.7, stains["haematoxylin"])
    slide = ArraySlide(drawn.render(), 0.5)
    by_colour = found_on(slide, stain="PAS")
    assert by_colour.warnings == [
        "nuclei were found by colour: the cell finder was not trained on stain 'PAS', only on pap, mgg, giemsa, he"
    ]
    assert [thing.score for thing in by_colour.objects] == [1.0]
    for known in ("Pap", "Papanicolaou", "May-Grünwald-Giemsa", "H&E "):
        assert found_on(slide, stain=known).warnings == []


def test_empty_glass_has_no_cells(scene):
    assert found_on(ArraySlide(scene(300, 200, 0.5).render(), 0.5)).objects == []

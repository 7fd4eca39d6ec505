import cv2
import numpy as np
import pytest

from inkdot.config import AdequacyConfig, default_config
from inkdot.records import BoundsL0, SlideInfo
from inkdot.slides.array_slide import ArraySlide
from inkdot.storage.tables.assessments import REASONS
from inkdot.tiling.adequacy import NucleusCount, assess, count_nuclei, needs_nuclei, rule_for
from inkdot.tiling.clusters.find_objects import find_objects
from inkdot.tiling.clusters.group_objects import group_objects
from inkdot.tiling.foreground.find_foreground import Foreground, find_foreground
from inkdot.tiling.foreground.foreground_classes import ForegroundClass
from inkdot.tiling.foreground.glass import Glass
from inkdot.tiling.foreground.mask_frame import MaskFrame
from inkdot.units import Level0Px

CONFIG = AdequacyConfig()


def foreground(**pixels: int) -> Foreground:
    """A mask of 1 mm by 1 mm with so many pixels (16 µm² each) of each kind, the rest glass."""
    classes = np.zeros(250 * 250, np.uint8)
    at = 0
    for name, count in pixels.items():
        classes[at : at + count] = ForegroundClass[name]
        at += count
    frame = MaskFrame(Level0Px(0), Level0Px(0), 16.0, 16.0, 250, 250, 4.0)
    return Foreground(classes.reshape(250, 250), frame, Glass((240.0, 240.0, 240.0), 0.0, True), 0)


def info(vendor: str) -> SlideInfo:
    return ArraySlide(np.full((1000, 1000, 3), 240, np.uint8), 1.0, vendor=vendor).info


@pytest.mark.parametrize(("in_focus", "adequate"), [(0, False), (19, False), (20, True), (500, True)])
def test_a_cytology_slide_needs_nucleated_cells_in_focus(in_focus, adequate):
    said = assess(foreground(FOREGROUND=500), "cytology", NucleusCount(600, in_focus), CONFIG)
    assert said.adequate is adequate
    assert (said.why == "") is adequate
    assert adequate or f"{in_focus} nucleated cells" in said.why


def test_area_is_a_floor_too_where_it_is_configured():
    config = AdequacyConfig(min_assessable_mm2=0.9)
    open_glass = foreground(FOREGROUND=500)
    half = foreground(FOREGROUND=500, PEN=31_250)
    count = NucleusCount(50, 50)
    assert assess(open_glass, "cytology", count, config).adequate
    said = assess(half, "cytology", count, config)
    assert not said.adequate
    assert "0.5 mm2 of assessable glass" in said.why
    assert said.unassessable_fraction == pytest.approx(0.5, abs=0.001)
    assert said.areas_mm2["pen"] == pytest.approx(0.5)


def test_a_section_is_judged_by_its_tissue():
    assert assess(foreground(FOREGROUND=4000), "section", None, CONFIG).adequate
    said = assess(foreground(FOREGROUND=2000, PEN=30_000), "section", None, CONFIG)
    assert not said.adequate
    assert said.assessable_mm2 == pytest.approx(0.032)
    assert said.unassessable_fraction == 0.0  # nobody knows whether there is tissue under the pen
    assert said.nuclei is None


def test_a_slide_mostly_out_of_focus_is_inadequate():
    said = assess(foreground(FOREGROUND=1000, BLUR=9000), "section", None, CONFIG)
    assert not said.adequate
    assert "90% cannot be assessed" in said.why
    cytology = assess(foreground(FOREGROUND=100, BLUR=900), "cytology", NucleusCount(500, 50), CONFIG)
    assert not cytology.adequate


def test_fibres_hide_what_lies_under_them_and_clots_and_red_cells_do_not():
    count = NucleusCount(50, 50)
    assert assess(
        foreground(FOREGROUND=500, FIBRE=6250), "cytology", count, CONFIG
    ).unassessable_fraction == pytest.approx(0.1, abs=1e-4)
    said = assess(foreground(FOREGROUND=500, CLOT=6250, RED_CELL=6250), "cytology", count, CONFIG)
    assert said.unassessable_fraction == 0.0
    assert said.assessable_mm2 == pytest.approx(1.0)
    assert said.areas_mm2["clot"] == said.areas_mm2["red_cell"] == pytest.approx(0.1)


def test_the_table_of_assessments_has_a_column_for_every_class():
    assert sorted(REASONS) == sorted(kind.column for kind in ForegroundClass)


def test_artefacts_have_names_that_hold_for_smears_too():
    of_a_spot = {ForegroundClass.OUTSIDE, ForegroundClass.RING}  # only where a spot was found
    for kind in set(ForegroundClass) - of_a_spot:
        assert not {"section", "spot", "filter"}.intersection(kind.words.replace(",", "").split()), kind


def test_what_lies_outside_of_the_spot_counts_for_nothing():
    said = assess(foreground(FOREGROUND=500, OUTSIDE=31_250), "cytology", NucleusCount(50, 50), CONFIG)
    assert said.assessable_mm2 == pytest.approx(0.5, rel=0.01)
    assert said.unassessable_fraction == 0.0


def test_a_photograph_has_its_own_rule():
    small = foreground(FOREGROUND=500)
    assert rule_for(info("plain jpeg"), small, "thinprep", CONFIG) == "photograph"
    assert rule_for(info("aperio"), small, "thinprep", CONFIG) == "cytology"
    assert rule_for(info("aperio"), small, "section", CONFIG) == "section"
    # A whole slide exported as a flat image is no photograph.
    assert rule_for(info("plain tiff"), small, "thinprep", AdequacyConfig(photograph_mm2=0.9)) == "cytology"
    assert assess(small, "photograph", NucleusCount(3, 1), CONFIG).adequate
    assert not assess(small, "photograph", NucleusCount(3, 0), CONFIG).adequate


def test_nuclei_where_the_place_is_named_blurred_are_not_in_focus(scene, stains):
    """Also where the scanned part does not begin at the corner of level 0."""
    drawn = scene(700, 300, 0.5)
    for x in (80, 144, 208, 400, 464, 528, 592):
        drawn.disc(x, 150, 9.0, 0.8, stains["haematoxylin"])
    drawn.od[:, 640:] = cv2.GaussianBlur(drawn.od, (0, 0), 3.2)[:, 640:]
    bounds = BoundsL0(Level0Px(33), Level0Px(18), Level0Px(1300), Level0Px(560))
    slide = ArraySlide(drawn.render(), 0.5, bounds_l0_px=bounds)
    tiling = default_config("thinprep").tiling
    foreground = find_foreground(slide, tiling)
    clusters = group_objects(find_objects(slide, foreground, tiling).objects, 12.0)
    assert count_nuclei(clusters, foreground) == NucleusCount(7, 3)


def test_nuclei_are_counted_only_where_a_floor_asks_for_them():
    assert needs_nuclei("cytology", CONFIG)
    assert not needs_nuclei("cytology", AdequacyConfig(min_nuclei=0))
    assert not needs_nuclei("section", CONFIG)

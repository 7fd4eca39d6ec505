"""Rules of honesty: whatever is painted says so, in the image itself too."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from inkdot.synthetic.cohort.cohort_plan import plan_cohort
from inkdot.synthetic.cohort.presets import COHORTS
from inkdot.synthetic.rendering.backdrops import Writing, word_bitmap
from inkdot.synthetic.rendering.scene_source import SceneSource, whole_image
from inkdot.synthetic.scenes import build_scene


@pytest.mark.parametrize("preset", ["lm-heavy", "large-cell-section"])
def test_the_word_is_burned_into_the_image_and_can_be_read(preset: str) -> None:
    plan = replace(plan_cohort(preset, 1, 5, 0.5, 2.0)[0], only_confounders="none")
    scene = build_scene(plan, plan.draw_patient(), plan.stain())
    (writing,) = [thing for thing in scene.backdrop if isinstance(thing, Writing)]
    grey = whole_image(SceneSource(scene, 2.0, plan.stain(), plan.scanner_properties(), seed=1)).mean(axis=2)
    box, word = writing.box, word_bitmap()
    cell = min((box.right_um - box.left_um) / word.shape[1], (box.bottom_um - box.top_um) / word.shape[0])
    left = (box.left_um + box.right_um - cell * word.shape[1]) / 2.0
    top = (box.top_um + box.bottom_um - cell * word.shape[0]) / 2.0
    rows = ((top + (np.arange(7) + 0.5) * cell) / 2.0).astype(int)
    columns = ((left + (np.arange(word.shape[1]) + 0.5) * cell) / 2.0).astype(int)
    seen = np.asarray(cv2.blur(grey.astype(np.float32), (3, 3)))[np.ix_(rows, columns)]
    threshold = (seen.max() + seen.min()) / 2.0
    assert np.mean((seen < threshold) == word) > 0.98


@pytest.mark.parametrize("preset", sorted(COHORTS))
def test_names_of_slides_and_patients_start_with_synthetic(preset: str) -> None:
    for plan in plan_cohort(preset, 3, 1):
        assert plan.slide_id.startswith("synthetic_")
        assert plan.patient_id.startswith("synthetic-")
        assert plan.scanner_properties().name.startswith("synthetic-")

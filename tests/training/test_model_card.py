"""The model card states how the model was trained."""

from pathlib import Path
from typing import Literal

import pytest

from inkdot.config import config_from_mapping
from inkdot.storage.models.model_files import ModelFile, read_model_file
from inkdot.storage.models.model_records import Attention, Guarantee
from inkdot.training.release.model_card import card_text
from inkdot.training.release.reporting_checklist import reader_lines, training_summary


@pytest.fixture
def a_description(repository: Path) -> ModelFile:
    return read_model_file(repository / "models" / "demo")


@pytest.mark.parametrize(
    ("group_by", "given", "expected"),
    [
        ("patient", False, "Split: drawn, a share of 0.25 for validation, by patient;"),
        ("site", False, "by whole site, and so whole patient;"),
        ("patient", True, "Split: given by the table, checked by patient;"),
    ],
)
def test_the_card_states_how_the_split_was_made(
    a_description: ModelFile, group_by: str, given: bool, expected: str
) -> None:
    config = config_from_mapping({"training": {"group_by": group_by}})
    assert expected in "\n".join(training_summary(a_description, config, 1, "0" * 64, "", "cpu", given=given))


@pytest.mark.parametrize(("scores", "stated"), [("out_of_fold", True), ("validation", False)])
def test_the_card_says_whose_scores_the_threshold_rests_on(
    a_description: ModelFile, scores: Literal["out_of_fold", "validation"], stated: bool
) -> None:
    guarantee = Guarantee(locked=False, confidence=0.9, patients=9, needed=45, bound=0.7, scores=scores)
    points = {
        name: own.model_copy(update={"guarantee": guarantee})
        for name, own in a_description.operating_points.items()
    }
    card = card_text(a_description.model_copy(update={"operating_points": points}), [])
    assert ("rest on out-of-fold scores of all patients" in card) == stated


def test_readers_without_a_common_region_have_no_agreement() -> None:
    assert reader_lines(1, {}) == ["Readers: 1, never two of the same region; their agreement is not known."]


def test_a_head_at_the_limit_of_its_temperature_is_named(a_description: ModelFile) -> None:
    flat = a_description.model_copy(update={"temperatures": {"malignancy": 1.2, "morphology": 15.9995}})
    assert "the scores of morphology hardly separate the validation data" in card_text(flat, [])
    sharp = a_description.model_copy(update={"temperatures": {"malignancy": 1.2, "morphology": 3.0}})
    assert "hardly separate" not in card_text(sharp, [])


def test_the_card_of_a_model_of_images_mentions_no_slides_or_patients(a_description: ModelFile) -> None:
    trained_on = a_description.trained_on.model_copy(update={"images": True})
    lines = training_summary(
        a_description.model_copy(update={"trained_on": trained_on}),
        config_from_mapping({}),
        1,
        "0" * 64,
        "learning rate 0.001",
        "cpu",
    )
    making = "\n".join(lines)
    assert "Pixels: the centre of each image" in making
    assert "AdamW, learning rate 0.001; weight decay 0.02" in making
    assert "bootstrap over groups" in making
    assert "slides" not in making
    assert "patient" not in making


@pytest.mark.parametrize(("start", "stated"), [("pseudo-labels", True), ("pretrained", False)])
def test_the_learning_rate_of_slides_after_tiles_is_stated(
    a_description: ModelFile, start: str, stated: bool
) -> None:
    attention = Attention.model_validate({"hidden": 8, "slides_per_class": {}, "start": start})
    own = a_description.model_copy(update={"attention": attention})
    lines = training_summary(own, config_from_mapping({}), 1, "0" * 64, "learning rate 0.001", "cpu")
    (line,) = (line for line in lines if line.startswith("Training: "))
    assert ("slides after tiles at a peak learning rate of 0.0003" in line) == stated


@pytest.mark.parametrize(
    ("span", "words"),
    [
        ((0.5, 0.5), "Scanned at 0.5 µm/px."),
        ((0.22, 0.5), "Scanned at 0.22 to 0.5 µm/px."),
        (None, "Scale as scanned: not known."),
    ],
)
def test_one_scale_is_stated_without_a_range(
    a_description: ModelFile, span: tuple[float, float] | None, words: str
) -> None:
    trained_on = a_description.trained_on.model_copy(update={"mpp_range": span})
    assert words in card_text(a_description.model_copy(update={"trained_on": trained_on}), [])

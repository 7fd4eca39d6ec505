"""What the card says of the making of a model must be what was done."""

from pathlib import Path

import pytest

from inkdot.config import config_from_mapping
from inkdot.storage.model_files import ModelFile, read_model_file
from inkdot.training.release.model_card import card_text
from inkdot.training.release.reporting_checklist import making_lines, reader_lines


@pytest.fixture
def a_description(repository: Path) -> ModelFile:
    return read_model_file(repository / "models" / "demo")


@pytest.mark.parametrize(
    ("together", "given", "words"),
    [
        ("patient", False, "Split: drawn, a share of 0.25 for validation, by patient;"),
        ("site", False, "by whole site, and so whole patient;"),
        ("patient", True, "Split: as the table gives it, checked by patient;"),
    ],
)
def test_the_split_is_told_as_it_was(
    a_description: ModelFile, together: str, given: bool, words: str
) -> None:
    config = config_from_mapping({"training": {"group_by": together}})
    assert words in "\n".join(making_lines(a_description, config, 1, "0" * 64, "cpu", given=given))


def test_one_reader_is_no_plural() -> None:
    assert reader_lines(1, {})[0].startswith("Readers: one labelled regions")


def test_a_head_whose_scores_tell_nothing_is_named(a_description: ModelFile) -> None:
    flat = a_description.model_copy(update={"temperatures": {"malignancy": 1.2, "morphology": 15.9995}})
    assert "scores of morphology told next to nothing" in card_text(flat, [])
    sharp = a_description.model_copy(update={"temperatures": {"malignancy": 1.2, "morphology": 3.0}})
    assert "next to nothing" not in card_text(sharp, [])


def test_images_are_told_in_words_of_their_own(a_description: ModelFile) -> None:
    seen = a_description.trained_on.model_copy(update={"images": True})
    lines = making_lines(
        a_description.model_copy(update={"trained_on": seen}), config_from_mapping({}), 1, "0" * 64, "cpu"
    )
    making = "\n".join(lines)
    assert "Pixels: the centre of each image" in making
    assert "bootstrap over groups" in making
    assert "slides" not in making
    assert "patient" not in making


@pytest.mark.parametrize(
    ("span", "words"),
    [
        ((0.5, 0.5), "Scanned at 0.5 µm/px."),
        ((0.22, 0.5), "Scanned at 0.22 to 0.5 µm/px."),
        (None, "Scale as scanned: not known."),
    ],
)
def test_one_scale_is_no_range(
    a_description: ModelFile, span: tuple[float, float] | None, words: str
) -> None:
    trained_on = a_description.trained_on.model_copy(update={"mpp_range": span})
    assert words in card_text(a_description.model_copy(update={"trained_on": trained_on}), [])

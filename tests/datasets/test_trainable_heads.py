"""Which heads are left out, and what of the config goes with them."""

from pathlib import Path

import pytest

from inkdot.config import Config, config_from_mapping
from inkdot.datasets.trainable_heads import labelled_patients, trainable_heads, without_heads
from inkdot.errors import UserError
from inkdot.records import SlideEntry


def entries(*labels: dict[str, str], patients: int | None = None) -> list[SlideEntry]:
    return [
        SlideEntry(f"s{index}", Path("a.svs"), patient_id=f"p{index % (patients or 99)}", on_slide=own)
        for index, own in enumerate(labels)
    ]


BENIGN, MALIGNANT = {"malignancy": "benign"}, {"malignancy": "malignant"}


def test_what_names_a_head_elsewhere_goes_with_it() -> None:
    config = config_from_mapping(
        {
            "heads": [
                *({"name": head.name, "classes": head.classes, "labels": head.labels, "flag_class": head.flag_class}
                  for head in Config().heads),
                {"name": "grade", "classes": ["low", "high"], "condition": {"morphology": "large_cell"}},
            ],
            "annotations": {
                "classes": {
                    "Tumour": {"malignancy": "malignant", "morphology": "large_cell"},
                    "Large": {"morphology": "large_cell"},
                }
            },
            "images": {"heads": {"morphology": "kind"}},
            "training": {"balance_by": "morphology", "head_weights": {"morphology": 0.5, "malignancy": 2.0}},
        }
    )  # fmt: skip
    fewer, notes = without_heads(config, ["morphology"])
    assert [head.name for head in fewer.heads] == ["malignancy"]
    assert fewer.annotations.classes == {"Tumour": {"malignancy": "malignant"}}
    assert fewer.annotations.ignore == ["Large"]
    assert fewer.images.heads == {}
    assert (fewer.training.balance_by, fewer.training.head_weights) == (None, {"malignancy": 2.0})
    assert [note.split(":")[0] for note in notes] == ["head grade", "training.balance_by"]
    assert config_from_mapping(fewer.model_dump(mode="json")) == fewer  # still a valid config


def test_a_label_on_a_slide_that_does_not_meet_the_condition_trains_nothing() -> None:
    benign = [BENIGN | {"morphology": kind} for kind in ("small_cell", "large_cell")]
    made = labelled_patients(entries(*benign, MALIGNANT, MALIGNANT), Config())
    assert made.count("morphology", "small_cell") == 0
    assert [head.name for head in trainable_heads(made, Config()).config.heads] == ["malignancy"]


def test_patients_are_counted_and_not_slides() -> None:
    made = labelled_patients(entries(*[BENIGN, MALIGNANT] * 3, patients=1), Config())
    with pytest.raises(UserError, match="found 1 with benign and 1 with malignant"):
        trainable_heads(made, Config())


def test_labels_of_slides_alone_teach_no_malignant_tile_where_they_must_not() -> None:
    config = config_from_mapping({"training": {"mil": {"use": "never"}}})
    made = labelled_patients(entries(BENIGN, BENIGN, MALIGNANT, MALIGNANT), config)
    assert (made.count("malignancy", "benign"), made.count("malignancy", "malignant")) == (2, 0)
    with pytest.raises(UserError, match=r"training\.mil\.use: needed"):
        trainable_heads(made, config)

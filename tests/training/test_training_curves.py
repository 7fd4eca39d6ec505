from xml.etree import ElementTree

import pytest

from inkdot.training.fit.training_curves import curves_svg

SVG = "{http://www.w3.org/2000/svg}"


def rows(count):
    return [
        {
            "epoch": epoch + 1,
            "learning_rate": 0.001,
            "train_loss": 1.0 / (epoch + 1),
            "train_loss.<head>": 0.5,
            "validation_calibrated_loss": 0.5,
            "validation_auc.<head>.b": None if epoch == 1 else 0.25 * epoch,
            "validation_auc.<head>.b.low": None if epoch == 1 else 0.2 * epoch,
            "validation_auc.<head>.b.high": None if epoch == 1 else 0.3 * epoch,
        }
        for epoch in range(count)
    ]


def parsed(svg):
    return ElementTree.fromstring(svg)  # noqa: S314 - our own


def points(element):
    return [tuple(map(float, pair.split(","))) for pair in element.get("points").split()]


def test_every_known_value_is_drawn_at_its_height_and_names_are_escaped():
    root = parsed(curves_svg(rows(4), "validation_", best_epoch=4))
    train, validation, auc, rate = root.iter(f"{SVG}polyline")
    assert [len(points(line)) for line in (train, validation, auc, rate)] == [4, 4, 3, 4]
    heights = [y for _, y in points(train)]
    # From 0 at the bottom to 1 at the top: a half is half way, a quarter a quarter.
    bottom = heights[0] + 2 * (heights[1] - heights[0])
    assert heights[3] == pytest.approx(bottom + (heights[0] - bottom) / 4, abs=0.2)
    assert points(train)[1][0] - points(train)[0][0] == pytest.approx(420 / 3, abs=0.1)
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert "validation_auc.<head>.b" in words
    assert len(points(next(root.iter(f"{SVG}polygon")))) == 6
    assert words.count("epoch; the dashed line is epoch 4, the best") == 3


def test_one_epoch_and_nothing_known_is_a_image_too():
    root = parsed(curves_svg(rows(1), "validation_", best_epoch=1))
    assert len(list(root.iter(f"{SVG}polyline"))) == 4
    blank = [rows(1)[0] | {name: None for name in rows(1)[0] if "auc" in name}]
    parsed(curves_svg(blank, "validation_", best_epoch=1))


def test_patients_have_a_panel_of_their_own_where_there_are_metrics_of_them():
    def titles(table):
        return [
            text.text
            for text in parsed(curves_svg(table, "validation_", 1)).iter(f"{SVG}text")
            if text.get("font-size")
        ]

    without = titles(rows(3))
    metric = {
        "validation_patient_auc": 0.8,
        "validation_patient_auc.low": 0.6,
        "validation_patient_auc.high": 0.9,
    }
    table = [row | metric for row in rows(3)]
    assert [title for title in titles(table) if title not in without] == [
        "Validation patients, 95 % interval shaded"
    ]
    svg = curves_svg(table, "validation_", 1)
    assert ">validation_patient_auc<" in svg
    *_, band = parsed(svg).iter(f"{SVG}polygon")
    *_, of_patients, _ = parsed(svg).iter(f"{SVG}polyline")
    high, value, low = points(band)[0][1], points(of_patients)[0][1], points(band)[-1][1]
    assert low - value == pytest.approx(2 * (value - high), abs=0.2)  # from 0.6 to 0.9 round 0.8

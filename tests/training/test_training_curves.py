"""The training curves as SVG."""

from xml.etree import ElementTree

from inkdot.training.fit.training_curves import curves_svg

SVG = "{http://www.w3.org/2000/svg}"


def rows(count, **columns):
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
            **columns,
        }
        for epoch in range(count)
    ]


def texts(svg):
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def test_axes_legend_and_best_epoch_are_labelled_and_names_are_escaped():
    words = texts(curves_svg(rows(4), "validation_", best_epoch=3))
    for label in ("Loss", "loss (nats)", "training", "validation, calibrated", "AUC", "<head>.b"):
        assert label in words
    assert words.count("epoch") == 3
    assert "Shaded: 95 % confidence intervals. Dashed: epoch 3, the best." in words


def test_the_same_rows_give_the_same_bytes_and_other_rows_do_not():
    svg = curves_svg(rows(4), "validation_", 3)
    assert curves_svg(rows(4), "validation_", 3) == svg
    assert curves_svg(rows(4, learning_rate=0.002), "validation_", 3) != svg


def test_one_epoch_and_undefined_metrics_are_drawn_too():
    texts(curves_svg(rows(1), "validation_", best_epoch=1))
    blank = [rows(1)[0] | {name: None for name in rows(1)[0] if "auc" in name}]
    texts(curves_svg(blank, "validation_", best_epoch=1))


def test_patients_have_a_panel_where_there_are_metrics_of_them():
    of_patients = {f"validation_patient_auc{end}": 0.8 for end in ("", ".low", ".high")}
    assert "Validation patients" not in texts(curves_svg(rows(3), "validation_", 1))
    assert "Validation patients" in texts(curves_svg(rows(3, **of_patients), "validation_", 1))

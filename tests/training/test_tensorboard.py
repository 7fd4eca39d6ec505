"""Event files, as TensorBoard itself reads them."""

import warnings

import pytest

from inkdot.training.fit import tensorboard
from inkdot.training.fit.tensorboard import row_writer, tensorboard_note

ROWS = [
    {"epoch": 1.0, "learning_rate": 0.001, "train_loss": 0.7, "train_loss.malignancy": 0.4, "auc.a.b": None},
    {
        "epoch": 2.0,
        "learning_rate": 0.0005,
        "train_loss": 0.25,
        "train_loss.malignancy": 0.1,
        "auc.a.b": 0.875,
    },
    {"epoch": 3.0, "learning_rate": 1e-9, "train_loss": 3e5, "train_loss.malignancy": 0.0, "auc.a.b": 1.0},
]


def write(folder, rows, epochs_done=0):
    with row_writer(folder, epochs_done, enabled=True) as write_row:
        for row in rows:
            write_row(row)


def as_tensorboard_reads(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        accumulator = EventAccumulator(str(folder)).Reload()
        return {
            name: [(event.step, event.value) for event in accumulator.Scalars(name)]
            for name in accumulator.Tags()["scalars"]
        }


def test_tensorboard_reads_every_value_at_its_epoch(tmp_path):
    write(tmp_path, ROWS)
    found = as_tensorboard_reads(tmp_path)
    assert set(found) == {"learning_rate", "train_loss", "train_loss/malignancy", "auc/a.b"}
    assert found["train_loss"] == [(1, pytest.approx(0.7)), (2, 0.25), (3, 3e5)]
    assert found["auc/a.b"] == [(2, 0.875), (3, 1.0)]


def test_a_resumed_run_replaces_the_epochs_that_it_repeats(tmp_path):
    write(tmp_path, [ROWS[0], ROWS[1] | {"train_loss": 9.0}])
    write(tmp_path, ROWS[1:], epochs_done=1)
    assert [step for step, _ in as_tensorboard_reads(tmp_path)["train_loss"]] == [1, 2, 3]
    assert as_tensorboard_reads(tmp_path)["train_loss"][1] == (2, 0.25)


def test_without_the_package_nothing_is_written_and_one_line_names_the_extra(
    tmp_path, monkeypatch, tiny_config
):
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    write(tmp_path / "log", ROWS)
    assert not (tmp_path / "log").exists()
    assert tensorboard_note(tiny_config.training) == []
    (line,) = tensorboard_note(tiny_config.training.model_copy(update={"tensorboard": True}))
    assert 'pip install "inkdot[tensorboard]"' in line

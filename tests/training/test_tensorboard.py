"""The event file as TensorBoard itself reads it."""

import warnings

import pytest

from inkdot.training.fit.tensorboard import events, write_events

ROWS = [
    {"epoch": 1.0, "learning_rate": 0.001, "train_loss": 0.7, "train_loss.malignancy": 0.4, "auc.a.b": None},
    {
        "epoch": 2.0,
        "learning_rate": 0.0005,
        "train_loss": 0.25,
        "train_loss.malignancy": 0.1,
        "auc.a.b": 0.875,
    },
    {"epoch": 300.0, "learning_rate": 1e-9, "train_loss": 3e5, "train_loss.malignancy": 0.0, "auc.a.b": 1.0},
]


def as_tensorboard_reads(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        accumulator = EventAccumulator(str(folder)).Reload()
        return {
            name: [(event.step, event.value) for event in accumulator.Scalars(name)]
            for name in accumulator.Tags()["scalars"]
        }


def test_tensorboard_reads_every_value_at_its_step(tmp_path):
    write_events(tmp_path / "events.out.tfevents.x", ROWS, "epoch")
    found = as_tensorboard_reads(tmp_path)
    assert set(found) == {"learning_rate", "train_loss", "train_loss/malignancy", "auc/a.b"}
    assert found["train_loss"] == [(1, pytest.approx(0.7)), (2, 0.25), (300, 3e5)]
    assert found["learning_rate"][2] == (300, pytest.approx(1e-9))
    assert found["auc/a.b"] == [(2, 0.875), (300, 1.0)]


def test_it_grows_at_its_end_and_ends_as_if_written_at_once(tmp_path):
    path = tmp_path / "events.out.tfevents.x"
    write_events(path, ROWS[:1], "epoch")
    with path.open("rb") as held_by_a_reader:
        held_by_a_reader.seek(0, 2)
        write_events(path, ROWS[:2], "epoch")
        assert held_by_a_reader.read() == events(ROWS[:2], "epoch")[len(events(ROWS[:1], "epoch")) :]
    write_events(path, ROWS, "epoch")
    write_events(path, ROWS, "epoch")
    assert path.read_bytes() == events(ROWS, "epoch")


@pytest.mark.parametrize("found", [events(ROWS[:2], "epoch")[:-7], b"something else", events(ROWS, "epoch")])
def test_what_a_kill_or_another_run_left_is_put_right(tmp_path, found):
    path = tmp_path / "events.out.tfevents.x"
    path.write_bytes(found)
    write_events(path, ROWS[:2], "epoch")
    assert path.read_bytes() == events(ROWS[:2], "epoch")
    assert len(as_tensorboard_reads(tmp_path)["train_loss"]) == 2

"""Metrics of every epoch for TensorBoard, where ``training.tensorboard`` is set and the package is installed."""

# pyright: reportUnknownMemberType=false

from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from inkdot.config import TrainingConfig
from inkdot.training.fit.epoch_metrics import Row


def tensorboard_note(settings: TrainingConfig) -> list[str]:
    """A line for the terminal where TensorBoard files are requested and cannot be written."""
    if not settings.tensorboard or find_spec("tensorboard"):
        return []
    return [
        "training.tensorboard: expected the package tensorboard, found that it is not installed, so no event files are "
        'written; pip install "inkdot[tensorboard]"'
    ]


@contextmanager
def row_writer(folder: Path, epochs_done: int, *, enabled: bool) -> Generator[Callable[[Row], None]]:
    """A function that writes the row of an epoch as scalars, at once.

    A resumed run adds a file of its own, and TensorBoard then shows nothing twice: rows after ``epochs_done`` that an
    earlier file holds are purged.

    Args:
        folder: Where the event files go.
        epochs_done: Epochs that the resumed run keeps; 0 for a new one.
        enabled: Without it, or without the package, nothing is written.
    """
    if not enabled or not find_spec("tensorboard"):
        yield lambda row: None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=epochs_done + 1) as writer:

        def write(row: Row) -> None:
            for name, value in row.items():
                if name != "epoch" and value is not None:
                    # TensorBoard makes a section of what stands before the first slash.
                    writer.add_scalar(name.replace(".", "/", 1), value, int(row["epoch"] or 0))
            writer.flush()

        yield write

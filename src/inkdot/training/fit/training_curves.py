"""The training curves of a run as an SVG image."""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from inkdot.plotting import GREY, style, subplots, svg

if TYPE_CHECKING:
    from inkdot.plotting import Axes

Rows = Sequence[Mapping[str, float | None]]

_LOSS_LABELS = {"loss": "validation", "calibrated_loss": "validation, calibrated"}
_PATIENT_LABELS = {"auc": "AUC", "average_precision": "average precision"}


class _Panel(NamedTuple):
    title: str
    y_label: str
    columns: Mapping[str, str]
    """Column of the table, and how the legend names it."""


def curves_svg(rows: Rows, prefix: str, best_epoch: int) -> str:
    """Losses, AUC on validation data, metrics of validation patients, and the learning rate over the epochs.

    Args:
        rows: The rows of ``metrics.csv``.
        prefix: What stands before the names of metrics on the validation data.
        best_epoch: Marked by a dashed line, from 1.
    """
    panels = _panels(list(rows[0]), prefix)
    with style():
        figure, axes = subplots(1, len(panels), width=4.2, height=3.6)
        if layout := figure.get_layout_engine():
            layout.set(w_pad=0.12)  # pyright: ignore[reportCallIssue] - of constrained layout
        for axis, panel in zip(axes, panels, strict=True):
            _draw(axis, panel, rows, best_epoch)
        shaded = "Shaded: 95 % confidence intervals. " if len(panels) > 2 else ""
        figure.supxlabel(f"{shaded}Dashed: epoch {best_epoch}, the best.", fontsize=9, color=GREY)
        return svg(figure)


def _panels(names: Sequence[str], prefix: str) -> list[_Panel]:
    losses = {"train_loss": "training", **{f"{prefix}{own}": label for own, label in _LOSS_LABELS.items()}}
    auc = _with_interval(f"{prefix}auc.", names)
    of_patients = _with_interval(f"{prefix}patient_", names)
    panels = [
        _Panel("Loss", "loss (nats)", {name: label for name, label in losses.items() if name in names}),
        _Panel("AUC on validation data", "AUC", auc),
        _Panel(
            "Validation patients",
            "AUC and average precision",
            {name: _PATIENT_LABELS.get(label, label) for name, label in of_patients.items()},
        ),
        _Panel("Learning rate", "learning rate", {"learning_rate": ""}),
    ]
    return [panel for panel in panels if panel.columns]


def _with_interval(start: str, names: Sequence[str]) -> dict[str, str]:
    return {n: n.removeprefix(start) for n in names if n.startswith(start) and f"{n}.low" in names}


def _draw(axis: Axes, panel: _Panel, rows: Rows, best_epoch: int) -> None:
    for name, label in panel.columns.items():
        values = _column(rows, name)
        (line,) = axis.plot(_column(rows, "epoch"), values, marker="o", label=label)
        low, high = _column(rows, f"{name}.low"), _column(rows, f"{name}.high")
        axis.fill_between(_column(rows, "epoch"), low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axis.axvline(best_epoch, color=GREY, linestyle="--", linewidth=1)
    axis.locator_params(axis="x", integer=True, min_n_ticks=1)
    axis.set(title=panel.title, xlabel="epoch", ylabel=panel.y_label)
    axis.set_xlim(0.5, len(rows) + 0.5)
    if panel.title == "Loss":
        axis.set_ylim(bottom=0)
    if any(panel.columns.values()):
        axis.legend(frameon=True, framealpha=0.8, edgecolor="none")


def _column(rows: Rows, name: str) -> list[float]:
    """Values of a column, NaN where undefined or missing: Matplotlib leaves a gap there."""
    return [float("nan") if (value := row.get(name)) is None else value for row in rows]

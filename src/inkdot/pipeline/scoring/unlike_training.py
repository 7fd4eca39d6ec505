"""Warnings for a slide that differs from those that a model was trained on."""

from typing import Final

from inkdot.records import SlideEntry
from inkdot.storage.models.model_files import ModelFile

SYNTHETIC_MODEL_WARNING = (
    "the model was trained on synthetic specimens only: its scores mean nothing on real cells"
)
UNKNOWN_SCALE_WARNING = (
    "the model was trained on images of unknown scale: the scale of these tiles may differ"
)

SCALE_TOLERANCE: Final = 1.2
"""20x scanners give 0.44 to 0.52 µm/px, 40x scanners 0.22 to 0.26: a factor of 1.18 within a class, 2 between."""


def model_warnings(entry: SlideEntry, model: ModelFile, *, synthetic_slide: bool) -> list[str]:
    """Warnings for a slide that differs from those of training, shown with every output."""
    trained_on = model.trained_on
    warnings: list[str] = []
    if trained_on.synthetic:
        warnings.append(
            "synthetic model on a synthetic slide" if synthetic_slide else SYNTHETIC_MODEL_WARNING
        )
    if not model.mpp_known:
        warnings.append(UNKNOWN_SCALE_WARNING)
    warnings += model.lock_notes
    for name, value, known in _kinds(entry, model):
        if not value:
            warnings.append(
                f"{name} not stated; the model was trained on {', '.join(known) or 'unstated ones'}"
            )
        elif value not in known:
            warnings.append(_never_seen(name, value, known))
    return warnings


def unseen_in_training(entry: SlideEntry, model: ModelFile) -> list[str]:
    """Stain or preparation that training never saw, where it is known what training saw; also among the warnings."""
    return [
        _never_seen(name, value, known)
        for name, value, known in _kinds(entry, model)
        if value and known and value not in known
    ]


def _kinds(entry: SlideEntry, model: ModelFile) -> tuple[tuple[str, str, list[str]], ...]:
    trained_on = model.trained_on
    return (
        ("stain", entry.stain, trained_on.stains),
        ("preparation", entry.preparation or "", trained_on.preparations),
    )


def _never_seen(name: str, value: str, known: list[str]) -> str:
    return f"{name} '{value}' was never seen in training; the model was trained on {', '.join(known) or 'unstated ones'}"


def scale_warnings(mpp: tuple[float, float], model: ModelFile) -> list[str]:
    """Warnings for a slide that was scanned finer or coarser than those of training.

    All tiles have the model's scale, but tiles of a coarser scan lack detail that the network was trained on.

    Args:
        mpp: µm/px along x and y, as scanned.
        model: The model, with the range it was trained on.
    """
    trained = model.trained_on.mpp_range
    if trained is None or (
        min(mpp) >= trained[0] / SCALE_TOLERANCE and max(mpp) <= trained[1] * SCALE_TOLERANCE
    ):
        return []
    how = "softer" if max(mpp) > trained[1] * SCALE_TOLERANCE else "sharper"
    return [
        f"mpp {mpp[0]:.4g} is outside the trained range of {trained[0]:.4g} to {trained[1]:.4g} µm/px: its tiles are {how} "
        "than those of training"
    ]


def cell_finder_warnings(name: object, model: ModelFile) -> list[str]:
    """A warning for tiles around cells that another finder found than the one of training.

    Args:
        name: As ``tiling.cell_finder``; None where it is not recorded, since the model's was used.
        model: The model.
    """
    own = model.tiling.cell_finder
    if name is None or name == own:
        return []
    return [
        f"cells were found by '{name}', in training by '{own}': the threshold was not chosen on such clusters"
    ]

"""Checks of a model against the slides, before any slide is processed."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from inkdot.errors import SlideError, SyntheticModelError, UserError
from inkdot.records import SlideEntry
from inkdot.slides import open_slide
from inkdot.storage.models.model_files import ModelFile


def require_synthetic_slides(entries: Iterable[SlideEntry], model: ModelFile, *, allowed: bool) -> None:
    """Refuse real slides for a synthetic model, unless they are allowed.

    Slides that cannot be opened are skipped here: they fail later, each with its own reason.

    Raises:
        SyntheticModelError: A slide is not synthetic; the message names it.
    """
    if allowed or not model.trained_on.synthetic:
        return
    for entry in entries:
        try:
            with closing(open_slide(entry)) as slide:
                synthetic = slide.info.synthetic
        except SlideError:
            continue
        if not synthetic:
            raise SyntheticModelError(real_slide_message(entry.slide_id))


def real_slide_message(slide_id: str) -> str:
    """The error message for a real slide and a synthetic model."""
    return (
        f"{slide_id}: expected a synthetic slide, since the model was trained on synthetic specimens only, found a real one; "
        "train on real slides, or pass --allow-synthetic-model to try the program (the scores are then meaningless)"
    )


def require_known_scale(folder: Path, model: ModelFile, *, allowed: bool, remedy: str = "") -> None:
    """Refuse a model trained on images of unknown scale, unless that is allowed.

    Args:
        folder: Its folder, for the message.
        model: The model.
        allowed: Accept it all the same.
        remedy: What to do, for the message; what `inkdot predict` offers where empty.

    Raises:
        UserError: The model's scale is unknown.
    """
    if not (model.mpp_known or allowed):
        remedy = remedy or (
            "train on images of known scale, or pass --allow-unknown-scale to tile slides at the scale of its config "
            f"({model.tiling.mpp:g} µm/px), which may be wrong"
        )
        raise UserError(
            f"{folder}: expected a model of known scale, found one trained on images without micrometres per pixel; {remedy}"
        )

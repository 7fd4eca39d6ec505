"""What is refused before any work begins."""

from collections.abc import Iterable
from contextlib import closing

from inkdot.errors import SlideError, SyntheticModelError
from inkdot.records import SlideEntry
from inkdot.slides import open_slide


def refuse_real_slides(entries: Iterable[SlideEntry]) -> None:
    """Stop before any work when a synthetic model was given a real slide or image.

    Those that cannot be opened are passed over here: they fail later, each with its own reason.

    Raises:
        SyntheticModelError: One is not synthetic; the message names it.
    """
    for entry in entries:
        try:
            with closing(open_slide(entry)) as slide:
                synthetic = slide.info.synthetic
        except SlideError:
            continue
        if not synthetic:
            raise SyntheticModelError(synthetic_refusal(entry.slide_id))


def synthetic_refusal(slide_id: str) -> str:
    """The line a person reads when a synthetic model meets a real slide."""
    return (
        f"{slide_id}: expected a synthetic slide, since the model was trained on synthetic specimens only, found a real one; "
        "train on real slides, or pass --allow-synthetic-model to see the program work (its scores then mean nothing)"
    )

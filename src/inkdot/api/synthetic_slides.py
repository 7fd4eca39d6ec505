"""Synthetic slides to try everything with."""

import os
from pathlib import Path

from inkdot.api.python_words import python_words
from inkdot.stages import synth
from inkdot.storage.output_layouts import CohortLayout


def make_synthetic_slides(
    out: str | os.PathLike[str],
    slides: int = 1,
    *,
    preset: str = "demo-training",
    seed: int = 1,
    spot_mm: float | None = None,
    mpp: float | None = None,
) -> Path:
    """Make synthetic slides, their labels and the truth about every object, as `inkdot synth`.

    They show how the program works. They are not real specimens, and no result on them says anything about real cells.

    Args:
        out: Folder for ``slides.csv``, ``labels.csv``, ``slides/`` and ``truth/``. Slides that are there already are kept.
        slides: How many.
        preset: What to make, such as ``demo-training``.
        seed: The same seed gives the same bytes.
        spot_mm: Diameter of the cell spot in mm; the preset's own where None.
        mpp: Micrometres per pixel; the preset's own where None.

    Returns:
        The path of ``slides.csv``.

    Raises:
        UserError: There is no such preset, or a number is out of range.
    """
    with python_words():
        synth.run(preset, slides, seed, Path(out), spot_mm=spot_mm, mpp=mpp, workers=1)
    return CohortLayout(Path(out)).slides_csv

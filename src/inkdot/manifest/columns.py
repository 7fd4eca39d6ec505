"""The columns of ``slides.csv``."""

from typing import Final, get_args

from inkdot.records import Preparation

REQUIRED: Final = ("slide_id", "path")
PREPARATIONS: Final[tuple[Preparation, ...]] = get_args(Preparation)
SPLIT: Final = "split"
"""Part of the data that a slide belongs to; kept among the free columns, since only some stages use it."""
PATIENT_PREFIX: Final = "patient_"
KNOWN: Final = (
    "slide_id", "path", "patient_id", "specimen_id", "site", "scanner", "preparation", "stain", "mpp", "annotation",
)  # fmt: skip

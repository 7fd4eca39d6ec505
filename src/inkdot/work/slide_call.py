"""From tile scores to what is said of a slide."""

from typing import Literal

import numpy as np

from inkdot.artefacts.predictions import Prediction
from inkdot.artefacts.scores import SlideScores


def call_slide(slide_id: str, scores: SlideScores) -> Prediction:
    """The slide's line in ``predictions.csv``.

    The rule: a slide's score is its highest tile score, and the slide is flagged when at least one tile
    reaches the locked operating point. One malignant cluster on an otherwise clean slide is the case
    Inkdot exists for, so no averaging may dilute it.
    """
    values, flagged = scores.flag_scores, scores.flagged
    warnings = "; ".join(scores.warnings)
    if not len(values):
        return Prediction(slide_id, "done", "inadequate", warnings=warnings, reason="no tile with foreground")
    top = int(np.argmax(values))
    call: Literal["flagged", "nothing flagged"] = "flagged" if flagged.any() else "nothing flagged"
    return Prediction(
        slide_id=slide_id,
        outcome="done",
        call=call,
        score=f"{float(values[top]):.4f}",
        tiles=len(values),
        flagged_tiles=int(flagged.sum()),
        top_x_l0_px=str(scores.table.column("x_l0_px")[top].as_py()),
        top_y_l0_px=str(scores.table.column("y_l0_px")[top].as_py()),
        warnings=warnings,
    )

"""The tables of a whole batch: ``predictions.csv`` and ``assessment.csv``."""

from collections.abc import Collection, Mapping, Sequence

from rich.console import Console
from rich.text import Text

from inkdot.pipeline.results.adequacy_table import write_adequacy_table
from inkdot.pipeline.results.render_slide import read_slide_prediction
from inkdot.pipeline.results.warnings import spread_lines, warning_lines
from inkdot.storage.layout import RunLayout
from inkdot.storage.tables.predictions import Prediction, write_predictions


def write_batch_tables(
    slide_ids: Sequence[str],
    layout: RunLayout,
    failed: Mapping[str, str],
    without_tiles: Collection[str],
    console: Console,
) -> None:
    """Write both tables; print warnings and the number of flagged slides.

    Args:
        slide_ids: All slides, in the order of the list.
        layout: The results folder.
        failed: Why slides failed, by slide_id.
        without_tiles: Slides that could not be tiled.
        console: For the lines.

    Raises:
        UserError: A table cannot be written.
    """
    predictions = [_prediction(slide_id, layout, failed) for slide_id in slide_ids]
    write_predictions(layout.predictions_csv, predictions)
    write_adequacy_table([slide_id for slide_id in slide_ids if slide_id not in without_tiles], layout)
    if others := _slides_of_other_lists(slide_ids, layout):
        named = ", ".join(others[:3]) + (" …" if len(others) > 3 else "")
        line = (
            f"the folder also holds results of {len(others)} slides of another list ({named}): "
            "predictions.csv does not list them"
        )
        console.print(Text(line), soft_wrap=True)
    for line in spread_lines(predictions):
        console.print(Text(line), soft_wrap=True)
    for warning in warning_lines(predictions):
        console.print(Text(f"! {warning}"), soft_wrap=True)
    flagged = sum(prediction.call == "flagged" for prediction in predictions)
    line = f"{flagged} of {len(predictions)} slides flagged; one line per slide in {layout.predictions_csv}"
    console.print(line, soft_wrap=True)


def _prediction(slide_id: str, layout: RunLayout, failed: Mapping[str, str]) -> Prediction:
    if slide_id in failed:
        return Prediction(slide_id, "failed", "", reason=failed[slide_id])
    return read_slide_prediction(layout, slide_id)


def _slides_of_other_lists(slide_ids: Sequence[str], layout: RunLayout) -> list[str]:
    """Slides with scores in the folder that this batch does not hold, sorted."""
    own = set(slide_ids)
    return sorted(path.stem for path in layout.scores("any").parent.glob("*.parquet") if path.stem not in own)

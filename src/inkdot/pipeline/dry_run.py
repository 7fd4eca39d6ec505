"""What a run would do with each slide, found out without doing it: the label to ``--dry-run``."""

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inkdot.config import Config
from inkdot.errors import InkdotError
from inkdot.pipeline.cluster_slide import clusters_fit
from inkdot.pipeline.render_slide import slide_images_current
from inkdot.pipeline.score_slide import Scoring, scores_fit
from inkdot.pipeline.tile_slide import tiles_fit
from inkdot.records import SlideEntry
from inkdot.storage.layout import RunLayout


def planned_tiling(entry: SlideEntry, config: Config, layout: RunLayout) -> str:
    """What `inkdot tile` would do with a slide, in words."""
    try:
        return "nothing: its tiles fit" if tiles_fit(entry, config, layout) else "tile"
    except InkdotError as error:
        return f"fail: {error}"


def planned_scoring(
    entry: SlideEntry, config: Config, layout: RunLayout, scoring: Scoring, *, images: bool = False
) -> str:
    """What `inkdot predict` would do with a slide, in words."""
    try:
        if not tiles_fit(entry, config, layout):
            return "tile and score"
        if not (scores_fit(entry, layout, scoring) and clusters_fit(entry, layout, config.morphometry)):
            return "score"
        return "draw" if images and not slide_images_current(entry, layout) else "nothing: its scores fit"
    except InkdotError as error:
        return f"fail: {error}"


def print_plan(console: Console, entries: Sequence[SlideEntry], planned: Callable[[SlideEntry], str]) -> int:
    """Print one line per slide and how many would fail; returns 1 when some would, else 0."""
    table = Table(title="Nothing is written: this is what would be done", title_justify="left")
    table.add_column("slide", overflow="fold")
    table.add_column("what", overflow="fold")
    failing = 0
    for entry in entries:
        words = planned(entry)
        failing += words.startswith("fail: ")
        table.add_row(Text(entry.slide_id), Text(words))
    console.print(table)
    console.print(f"{len(entries)} slides, {failing} would fail")
    return 1 if failing else 0

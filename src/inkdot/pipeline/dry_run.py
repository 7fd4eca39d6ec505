"""What a run would do with each slide, for ``--dry-run``."""

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inkdot.config import Config
from inkdot.errors import InkdotError
from inkdot.pipeline.tile_slide import tiles_reusable
from inkdot.records import SlideEntry
from inkdot.storage.layout import RunLayout


def plan_tiling(entry: SlideEntry, config: Config, layout: RunLayout) -> str:
    """What `inkdot tile` would do with a slide, as a short phrase."""
    try:
        return "nothing: tiles are current" if tiles_reusable(entry, config, layout) else "tile"
    except InkdotError as error:
        return f"fail: {error}"


def print_plan(console: Console, entries: Sequence[SlideEntry], plan: Callable[[SlideEntry], str]) -> int:
    """Print one line per slide and the number that would fail; return 1 when some would, else 0."""
    table = Table(title="Dry run: nothing is written", title_justify="left")
    table.add_column("slide", overflow="fold")
    table.add_column("action", overflow="fold")
    failing = 0
    for entry in entries:
        action = plan(entry)
        failing += action.startswith("fail: ")
        table.add_row(Text(entry.slide_id), Text(action))
    console.print(table)
    console.print(f"{len(entries)} slides, {failing} would fail")
    return 1 if failing else 0

"""``inkdot tile``: find the foreground of slides and cut it into tiles."""

import json
from pathlib import Path

from rich.console import Console
from rich.text import Text

from inkdot.artefacts.atomic import write_text
from inkdot.artefacts.disk import TABLES_BYTES_A_SLIDE, check_free_disk
from inkdot.artefacts.layout import RunLayout
from inkdot.artefacts.locking import locked
from inkdot.config import Config
from inkdot.manifest import manifest_text, read_slides, with_overrides
from inkdot.work.engine import print_summary, run_slides
from inkdot.work.label_tables import check_label_tables
from inkdot.work.planning import planned_tiling, print_plan
from inkdot.work.tile_slide import TileTask


def run(
    slides: Path,
    config: Config,
    out: Path,
    *,
    workers: int = 1,
    dry_run: bool = False,
    mpp: float | None = None,
    stain: str | None = None,
    preparation: str | None = None,
) -> int:
    """Tile slides into a run folder: ``slides.csv``, ``config.json``, ``tiles/``, ``masks/`` and the ledger.

    Args:
        slides: A ``slides.csv``, a slide, or a folder.
        config: The whole config.
        out: Run folder; a rerun keeps what still fits.
        workers: Processes.
        dry_run: Print what would be done with each slide, and write nothing.
        mpp: Micrometres per pixel of every slide, instead of what the files state.
        stain: Stain of every slide.
        preparation: Preparation of every slide.

    Returns:
        0 when every slide was tiled, 1 when some failed.

    Raises:
        UserError: The manifest, a labels table or the folder is wrong; no slide was touched.
    """
    console = Console(stderr=True)
    heads = config.head_records
    entries = with_overrides(read_slides(slides, heads), mpp=mpp, stain=stain, preparation=preparation)
    for line in check_label_tables(entries, heads):
        console.print(Text(line), soft_wrap=True)
    layout = RunLayout(out)
    if dry_run:
        return print_plan(console, entries, lambda entry: planned_tiling(entry, config, layout))
    check_free_disk(out, TABLES_BYTES_A_SLIDE * len(entries), "tables and mask pictures")
    with locked(layout.lock):
        write_text(layout.slides_csv, manifest_text(entries, heads, out))
        config_text = json.dumps(config.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False)
        write_text(layout.config_json, config_text + "\n")
        summary = run_slides(
            "tile", entries, TileTask(config, layout, measure=True), layout, workers=workers, description="Tiling"
        )
    print_summary(console, [summary])
    return summary.exit_code


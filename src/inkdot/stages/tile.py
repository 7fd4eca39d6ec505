"""``inkdot tile``: find the foreground of slides and cut it into tiles."""

import json
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.text import Text

from inkdot.config import Config
from inkdot.datasets.label_tables import check_label_tables
from inkdot.errors import UserError
from inkdot.execution.backends import choose_executor
from inkdot.execution.ray_settings import Cluster
from inkdot.execution.runner import print_summary, run_slides
from inkdot.manifest import manifest_text, read_slides, with_overrides
from inkdot.pipeline.adequacy_table import assess_run
from inkdot.pipeline.dry_run import planned_tiling, print_plan
from inkdot.pipeline.resume import as_worked_on, tiles_kept, unfinished
from inkdot.pipeline.tile_slide import TileTask
from inkdot.storage.atomic import write_text
from inkdot.storage.disk import TABLES_BYTES_A_SLIDE, check_free_disk
from inkdot.storage.layout import RunLayout
from inkdot.storage.locking import locked


def run(
    slides: Path,
    config: Config,
    out: Path,
    *,
    workers: int = 1,
    slide_timeout_s: float | None = None,
    cluster: Cluster | None = None,
    retry_failed: bool = False,
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
        slide_timeout_s: A slide on which nothing moves for so many seconds is stopped and fails.
        cluster: A Ray cluster to work on, instead of this machine.
        retry_failed: Work only on slides that an earlier run into this folder did not finish.
        dry_run: Print what would be done with each slide, and write nothing.
        mpp: Micrometres per pixel of every slide, instead of what the files state.
        stain: Stain of every slide.
        preparation: Preparation of every slide.

    Returns:
        0 when every slide was tiled, 1 when some failed or could not be listed.

    Raises:
        UserError: The manifest, a labels table or the folder is wrong; no slide was touched.
    """
    console = Console(stderr=True)
    heads = config.head_records
    entries = with_overrides(read_slides(slides, heads), mpp=mpp, stain=stain, preparation=preparation)
    for line in check_label_tables(entries, heads):
        console.print(Text(line), soft_wrap=True)
    layout = RunLayout(out)
    todo = entries
    if retry_failed:
        todo = unfinished(entries, layout, ("tile",), lambda entry: tiles_kept(entry, config, layout))
        entries = as_worked_on(entries, todo, layout, heads)
    if dry_run:
        return print_plan(console, todo, lambda entry: planned_tiling(entry, config, layout))
    check_free_disk(out, TABLES_BYTES_A_SLIDE * len(todo), "tables and mask images")
    engine = choose_executor(workers=workers, slide_timeout_s=slide_timeout_s, cluster=cluster)
    with closing(engine), locked(layout.lock):
        write_text(layout.slides_csv, manifest_text(entries, heads, out))
        config_text = json.dumps(config.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False)
        write_text(layout.config_json, config_text + "\n")
        task = TileTask(config, RunLayout(out.absolute()), measure=config.morphometry.clusters > 0)
        summary = run_slides("tile", todo, task, layout, engine=engine, description="Tiling")
        # Before what a full disk may still prevent: who fails is said in any case.
        print_summary(console, [summary])
        tiled = [entry.slide_id for entry in entries if layout.tiles(entry.slide_id).exists()]
        try:
            console.print(Text(assess_run(tiled, layout)), soft_wrap=True)
        except UserError as error:
            # The slides' own files are there: the next run needs to write this one only.
            console.print(Text(str(error)), soft_wrap=True)
            return 1
    return summary.exit_code

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
from inkdot.execution.runner import print_summary, run_slides
from inkdot.manifest import manifest_text, read_slides, source_notes
from inkdot.pipeline.batch_settings import BatchSettings
from inkdot.pipeline.dry_run import plan_tiling, print_plan
from inkdot.pipeline.merge_shards import finish_shard
from inkdot.pipeline.results.adequacy_table import write_adequacy_table
from inkdot.pipeline.resume import keep_overrides, tiles_current, unfinished_slides
from inkdot.pipeline.shards import begin_shard
from inkdot.pipeline.tile_slide import TileTask, settings_sha256
from inkdot.storage.atomic import write_text
from inkdot.storage.disk import TABLE_BYTES_PER_SLIDE, check_free_disk
from inkdot.storage.layout import RunLayout
from inkdot.storage.locking import locked
from inkdot.storage.run_table import write_run_table
from inkdot.tiling.clusters.detect import check_cell_finder


def run(slides: Path, config: Config, out: Path, batch: BatchSettings | None = None) -> int:
    """Tile slides into a run folder: ``slides.csv``, ``config.json``, ``tiles/``, ``masks/`` and the ledger.

    Args:
        slides: A ``slides.csv``, a slide, or a folder.
        config: The whole config.
        out: Run folder; a rerun reuses valid results.
        batch: Overrides, execution, retry and dry run.

    Returns:
        0 when every slide was tiled, 1 when some failed or a table could not be written.

    Raises:
        UserError: The manifest, a labels table or the folder is wrong; no slide was touched.
    """
    batch = batch or BatchSettings()
    console = Console(stderr=True)
    heads = config.head_records
    entries = batch.overrides.apply(read_slides(slides, heads))
    check_cell_finder(config.tiling.cell_finder)
    for line in [*source_notes([slides]), *check_label_tables(entries, heads)]:
        console.print(Text(line), soft_wrap=True)
    layout = batch.layout(out)
    todo = batch.own(entries)
    if batch.retry_failed:
        todo = unfinished_slides(todo, layout, ("tile",), lambda entry: tiles_current(entry, config, layout))
        entries = keep_overrides(entries, batch.again(entries, todo), layout, heads)
    if batch.dry_run:
        return print_plan(console, todo, lambda entry: plan_tiling(entry, config, layout))
    check_free_disk(out, TABLE_BYTES_PER_SLIDE * len(todo), "tables and mask images")
    executor = choose_executor(batch.execution)
    with closing(executor), locked(layout.lock, layout.locks_of_others()):
        record = (
            begin_shard(layout, batch.shard, "tile", entries, settings_sha256(config))
            if batch.shard
            else None
        )
        write_run_table(layout, manifest_text(entries, heads, out))
        config_text = json.dumps(config.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False)
        write_text(layout.config_json, config_text + "\n")
        task = TileTask(config, RunLayout(out.absolute()), measure=config.morphometry.clusters > 0)
        summary = run_slides("tile", todo, task, layout, executor=executor, description="Tiling")
        if record:
            return finish_shard(layout, record, [summary])
        print_summary(console, [summary])  # before writing the table, which a full disk may prevent
        tiled = [entry.slide_id for entry in entries if layout.tiles(entry.slide_id).exists()]
        try:
            for line in write_adequacy_table(tiled, layout):
                console.print(Text(line), soft_wrap=True)
        except UserError as error:
            # The slides' own files are complete: the next run only needs to write this table.
            console.print(Text(str(error)), soft_wrap=True)
            return 1
    return summary.exit_code

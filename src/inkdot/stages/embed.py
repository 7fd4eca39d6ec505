"""``inkdot embed``: embeddings of the tiles of slides by a frozen encoder, and from and for other programs."""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.text import Text

from inkdot.config import Config
from inkdot.errors import InkdotError, StorageError, UserError
from inkdot.execution.backends import choose_executor
from inkdot.execution.runner import BatchSummary, print_summary, run_slides
from inkdot.manifest import manifest_text, read_slides
from inkdot.model.frozen_encoder import EncoderSource, FrozenEncoder
from inkdot.model.predictor import Runtime
from inkdot.pipeline.batch_settings import BatchSettings
from inkdot.pipeline.dry_run import print_plan
from inkdot.pipeline.merge_shards import finish_shard
from inkdot.pipeline.results.adequacy_table import write_adequacy_table
from inkdot.pipeline.resume import keep_overrides, tiles_current, unfinished_slides
from inkdot.pipeline.scoring.embed_slide import EmbedTask, embeddings_current, load_encoder_once
from inkdot.pipeline.scoring.embedding_cost import embedding_cost, tile_counts
from inkdot.pipeline.scoring.exchange_embeddings import ExportEmbeddingsTask, ImportEmbeddingsTask
from inkdot.pipeline.shards import begin_shard
from inkdot.pipeline.tile_slide import TileTask, settings_sha256, tiles_reusable, tiling_config
from inkdot.records import SlideEntry, TileSpec
from inkdot.storage.atomic import write_text
from inkdot.storage.disk import TABLE_BYTES_PER_SLIDE, check_free_disk
from inkdot.storage.embeddings.embedding_formats import Format
from inkdot.storage.embeddings.slide_embeddings import EmbeddingDtype
from inkdot.storage.layout import RunLayout
from inkdot.storage.locking import locked
from inkdot.storage.models.model_files import read_model_file
from inkdot.storage.run_table import write_run_table
from inkdot.tiling.clusters.detect import check_cell_finder


@dataclass(frozen=True, slots=True)
class EmbedSettings:
    """What `embed` takes and writes.

    Attributes:
        config: The whole config; None for that of the folder, or of ``model``.
        encoder: As in ``model.backbone``; empty for the config's.
        weights: As in ``model.weights``; empty for the config's ``model.weights``, and for ``pretrained`` where
            ``encoder`` is given.
        model: A model folder whose backbone is the encoder, with whose settings slides are tiled.
        from_features: A folder of embeddings that another program wrote; no encoder is run.
        runtime: What the encoder runs in.
        dtype: Stored precision.
        format_: Write the files of this program, too.
    """

    config: Config | None = None
    encoder: str = ""
    weights: str = ""
    model: Path | None = None
    from_features: Path | None = None
    runtime: Runtime = "auto"
    dtype: EmbeddingDtype = "float16"
    format_: Literal["inkdot"] | Format = "inkdot"


def run(
    slides: Path, out: Path, settings: EmbedSettings | None = None, batch: BatchSettings | None = None
) -> int:
    """Embed the tiles of slides: ``OUT/embeddings/<slide_id>.h5``; slides without tiles are tiled before.

    Args:
        slides: A ``slides.csv``, a slide, or a folder.
        out: Run folder; a rerun reuses valid results.
        settings: The encoder, and what is written.
        batch: Overrides, execution, retry and dry run.

    Returns:
        0 when every slide has its embeddings, 1 when some failed.

    Raises:
        UserError: The input as a whole is wrong; nothing was written.
    """
    settings, batch = settings or EmbedSettings(), batch or BatchSettings()
    layout = batch.layout(out)
    if settings.from_features is not None:
        return _import(slides, layout, settings, batch)
    config = _config(settings, layout)
    entries = batch.overrides.apply(read_slides(slides, config.head_records, unknown_labels="skip"))
    check_cell_finder(config.tiling.cell_finder)
    source = _source(settings, config)
    encoder = load_encoder_once(source, settings.runtime)
    for line in (*encoder.notes, *([encoder.licence] if encoder.licence else [])):
        Console(stderr=True).print(Text(line), soft_wrap=True)

    def current(entry: SlideEntry) -> bool:
        return tiles_current(entry, config, layout) and embeddings_current(
            layout, entry.slide_id, encoder.sha256, settings.dtype
        )

    todo = batch.own(entries)
    if batch.retry_failed:
        todo = unfinished_slides(todo, layout, ("tile", "embed"), current)
        entries = keep_overrides(entries, batch.again(entries, todo), layout, config.head_records)
    if batch.dry_run:
        return _dry_run(todo, config, layout, encoder, settings)
    check_free_disk(out, TABLE_BYTES_PER_SLIDE * len(todo), "tables and mask images")
    here = batch.layout(out.absolute())  # a task may run on a machine with another current folder
    task = EmbedTask(
        here, source, encoder.sha256, settings.runtime, settings.dtype, config.tiling.dct_scaling
    )
    with locked(layout.lock, layout.locks_of_others()):
        record = None
        if batch.shard:
            shaping = [encoder.sha256, settings.dtype, settings_sha256(config)]
            record = begin_shard(layout, batch.shard, "embed", entries, shaping)
        write_run_table(layout, manifest_text(entries, config.head_records, out))
        text = json.dumps(config.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False)
        write_text(layout.config_json, text + "\n")
        summaries = _tile_and_embed(todo, TileTask(config, here, labels_needed=False), task, encoder, batch)
        summaries += _export(todo, layout, settings, after=summaries)
        if record:
            return finish_shard(layout, record, summaries)
    print_summary(Console(stderr=True), summaries)
    return max(summary.exit_code for summary in summaries)


def _tile_and_embed(
    entries: Sequence[SlideEntry],
    tile: TileTask,
    embed: EmbedTask,
    encoder: FrozenEncoder,
    batch: BatchSettings,
) -> list[BatchSummary]:
    """Tile the slides, print what embedding them will cost, and embed them."""
    readers, encoders = choose_executor(batch.execution), choose_executor(batch.execution, gpu=True)
    layout, console = embed.layout, Console(stderr=True)
    with closing(readers), closing(encoders):
        tiled = run_slides("tile", entries, tile, layout, executor=readers, description="Tiling")
        entries = [entry for entry in entries if entry.slide_id not in tiled.failed]
        if not layout.shard:  # the table of all shards is written when the last one ends
            for line in write_adequacy_table([entry.slide_id for entry in entries], layout):
                console.print(Text(line), soft_wrap=True)
        todo = [
            entry.slide_id
            for entry in entries
            if not embeddings_current(layout, entry.slide_id, encoder.sha256, embed.dtype)
        ]
        if todo:
            cost = embedding_cost(tile_counts(todo, layout).values(), encoder, embed.dtype)
            console.print(Text(cost.line(encoder)), soft_wrap=True)
            check_free_disk(layout.root, cost.disk_bytes, "embeddings")
        if batch.execution.slide_timeout_s is not None or batch.execution.ray is not None:
            load_encoder_once.cache_clear()  # other processes load their own
        done = run_slides("embed", entries, embed, layout, executor=encoders, description="Embedding")
    return [tiled, done]


def _export(
    entries: Sequence[SlideEntry],
    layout: RunLayout,
    settings: EmbedSettings,
    *,
    after: Sequence[BatchSummary],
) -> list[BatchSummary]:
    """Write the files of another program for the slides on which no earlier step failed."""
    if settings.format_ == "inkdot":
        return []
    failed = {slide_id for summary in after for slide_id in summary.failed}
    embedded = [entry for entry in entries if entry.slide_id not in failed]
    return [run_slides("export", embedded, ExportEmbeddingsTask(layout, settings.format_), layout)]


def _import(slides: Path, layout: RunLayout, settings: EmbedSettings, batch: BatchSettings) -> int:
    """Import embeddings that another program wrote; the slides are opened for their scale only."""
    assert settings.from_features is not None
    if not settings.from_features.is_dir():
        raise UserError(
            f"--from-features: expected a folder of .h5 files, found {settings.from_features}; name the folder"
        )
    heads = (settings.config or Config()).head_records
    entries = batch.overrides.apply(read_slides(slides, heads, unknown_labels="skip"))
    spec: TileSpec | None = settings.config.tiling.spec if settings.config else None
    task = ImportEmbeddingsTask(layout, settings.from_features, settings.encoder, spec, settings.dtype)
    if batch.dry_run:
        return print_plan(Console(), entries, lambda entry: _import_plan(task, entry))
    todo = batch.own(entries)
    with locked(layout.lock, layout.locks_of_others()):
        record = begin_shard(layout, batch.shard, "embed", entries, ["import"]) if batch.shard else None
        write_run_table(layout, manifest_text(entries, heads, layout.root))
        summaries = [run_slides("import", todo, task, layout, description="Importing")]
        summaries += _export(todo, layout, settings, after=summaries)
        if record:
            return finish_shard(layout, record, summaries)
    print_summary(Console(stderr=True), summaries)
    return max(summary.exit_code for summary in summaries)


def _import_plan(task: ImportEmbeddingsTask, entry: SlideEntry) -> str:
    try:
        return f"import {task.file(entry)}"
    except InkdotError as error:
        return f"fail: {error}"


def _dry_run(
    entries: Sequence[SlideEntry],
    config: Config,
    layout: RunLayout,
    encoder: FrozenEncoder,
    settings: EmbedSettings,
) -> int:
    """Print what would be done with each slide and what it costs; write nothing into the run folder."""
    console = Console()
    counts = tile_counts([entry.slide_id for entry in entries], layout)
    current = {
        slide_id
        for slide_id in counts
        if embeddings_current(layout, slide_id, encoder.sha256, settings.dtype)
    }
    plan = partial(_plan, config=config, layout=layout, counts=counts, current=current)
    code = print_plan(console, entries, plan)
    todo = [count for slide_id, count in counts.items() if slide_id not in current]
    console.print(Text(embedding_cost(todo, encoder, settings.dtype).line(encoder)), soft_wrap=True)
    if len(counts) < len(entries):
        console.print(
            f"{len(entries) - len(counts)} slides have no tiles yet and are not counted; `inkdot tile` makes them",
            soft_wrap=True,
        )
    return code


def _plan(
    entry: SlideEntry, config: Config, layout: RunLayout, counts: dict[str, int], current: set[str]
) -> str:
    try:
        if not tiles_reusable(entry, config, layout, labels_needed=False):
            return "tile and embed"
    except InkdotError as error:
        return f"fail: {error}"
    if entry.slide_id in current:
        return "nothing: embeddings are current"
    return f"embed {counts[entry.slide_id]} tiles"


def _config(settings: EmbedSettings, layout: RunLayout) -> Config:
    """The config with which slides are tiled.

    Raises:
        UserError: There is none, or two.
    """
    if settings.model is not None:
        if settings.config is not None or settings.encoder or settings.weights:
            raise UserError(
                "expected either --model, or --config with --encoder and --weights, found both; a model has all of these"
            )
        return tiling_config(read_model_file(settings.model))
    if settings.config is not None:
        return settings.config
    try:
        return Config.model_validate_json(layout.config_json.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{layout.root}: expected a folder that `inkdot tile` made, found no {layout.config_json.name}; "
            "give --config or --model"
        ) from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise StorageError(
            f"{layout.config_json}: expected a config, found an error: {reason}; run `inkdot tile` again"
        ) from None


def _source(settings: EmbedSettings, config: Config) -> EncoderSource:
    if settings.model is not None:
        return EncoderSource.of_model(settings.model)
    own = config.model
    named = bool(settings.encoder)
    weights = settings.weights or ("pretrained" if named else own.weights)
    return EncoderSource(
        settings.encoder or own.backbone,
        weights,
        int(config.tiling.side_px),
        precision=own.precision,
        tta_views=1 if named else own.tta_views,
    )

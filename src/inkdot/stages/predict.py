"""``inkdot predict``: tile new slides, score them, and write one line per slide."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

from inkdot.config import Config
from inkdot.errors import InkdotError, UserError
from inkdot.execution.backends import choose_executor
from inkdot.execution.runner import BatchSummary, Executor, print_summary, run_slides
from inkdot.execution.task import SlideTask
from inkdot.manifest import manifest_text, read_all_slides, source_notes
from inkdot.model.predictor import Runtime
from inkdot.pipeline.batch_settings import BatchSettings
from inkdot.pipeline.dry_run import print_plan
from inkdot.pipeline.merge_shards import finish_shard
from inkdot.pipeline.results.batch_tables import write_batch_tables
from inkdot.pipeline.results.cluster_slide import ClusterTask, clusters_reusable
from inkdot.pipeline.results.render_slide import (
    RenderTask,
    remove_slide_images,
    slide_images_current,
)
from inkdot.pipeline.resume import keep_overrides, scores_current, tiles_current, unfinished_slides
from inkdot.pipeline.scoring.guards import require_known_scale, require_synthetic_slides
from inkdot.pipeline.scoring.score_embeddings import copy_tables
from inkdot.pipeline.scoring.score_slide import ScoringModel, scores_reusable
from inkdot.pipeline.scoring.score_task import ScoreTask
from inkdot.pipeline.shards import begin_shard
from inkdot.pipeline.tile_slide import TileTask, settings_sha256, tiles_reusable, tiling_config
from inkdot.records import SlideEntry
from inkdot.storage.disk import IMAGE_BYTES_PER_SLIDE, TABLE_BYTES_PER_SLIDE, check_free_disk
from inkdot.storage.layout import RunLayout
from inkdot.storage.locking import locked
from inkdot.storage.models.ensemble_files import cost_lines
from inkdot.storage.run_table import write_run_table
from inkdot.tiling.clusters.detect import check_cell_finder

_STAGES = ("tile", "predict", "clusters")
_IMAGES = "images"

_Step = tuple[str, SlideTask, Executor]
"""Name of a step in the ledger, its task, and where it runs."""


@dataclass(frozen=True, slots=True)
class PredictSettings:
    """What `predict` allows and writes.

    Attributes:
        allow_synthetic_model: Let a model trained on synthetic specimens score real slides.
        allow_unknown_scale: Let a model trained on images of unknown scale score slides.
        runtime: See :class:`inkdot.model.predictor.Predictor`.
        embeddings: Write ``embeddings/`` too: the backbone's features of each tile.
        embeddings_from: A folder of `inkdot embed` whose embeddings are scored instead of pixels.
        slide_images: Draw each slide's overview and heat map.
        keep_ood_calls: Call slides unlike those of training, too, instead of abstaining.
        cell_finder: Finds nuclei in place of the model's own, see ``tiling.cell_finder``; None for that.
    """

    allow_synthetic_model: bool = False
    allow_unknown_scale: bool = False
    runtime: Runtime = "auto"
    embeddings: bool = False
    embeddings_from: Path | None = None
    slide_images: bool = True
    keep_ood_calls: bool = False
    cell_finder: str | None = None


def run(
    sources: Sequence[Path],
    model: Path,
    out: Path,
    settings: PredictSettings | None = None,
    batch: BatchSettings | None = None,
) -> int:
    """Score slides and write ``out/predictions.csv``, ``out/scores`` and, with clusters, ``out/cluster_scores``.

    A slide whose images cannot be drawn keeps its scores and its line, and is listed with the failed slides.

    Args:
        sources: Manifests, slides or folders.
        model: A model folder.
        out: Results folder; a rerun reuses valid results.
        settings: What is allowed and written.
        batch: Overrides, execution, retry and dry run.

    Returns:
        0 when every slide was scored and drawn, 1 when some failed or ``predictions.csv`` could not be written.

    Raises:
        UserError: The input as a whole is wrong; nothing was written.
    """
    settings, batch = settings or PredictSettings(), batch or BatchSettings()
    scoring = ScoringModel.load(
        model,
        allow_synthetic_model=settings.allow_synthetic_model,
        runtime=settings.runtime,
        embeddings=settings.embeddings,
        embeddings_from=_embeddings_folder(settings),
        keep_ood_calls=settings.keep_ood_calls,
    )
    description = scoring.predictor.description
    require_known_scale(model, description, allowed=settings.allow_unknown_scale)
    entries = batch.overrides.apply(read_all_slides(sources, description.head_records, unknown_labels="skip"))
    for note in source_notes(sources):
        Console(stderr=True).print(Text(note), soft_wrap=True)
    layout, images, own = batch.layout(out), settings.slide_images, batch.own(entries)
    config = tiling_config(description, settings.cell_finder)
    check_cell_finder(config.tiling.cell_finder)
    todo = _unfinished(own, layout, scoring, config, images=images) if batch.retry_failed else own
    entries = keep_overrides(entries, batch.again(entries, todo), layout, description.head_records)
    require_synthetic_slides(todo, description, allowed=settings.allow_synthetic_model)
    if batch.dry_run:
        plan = partial(_plan, config=config, layout=layout, scoring=scoring, images=images)
        return print_plan(Console(), todo, plan)
    for line in cost_lines(description.members):
        Console(stderr=True).print(line)
    needed = TABLE_BYTES_PER_SLIDE + (IMAGE_BYTES_PER_SLIDE if images else 0)
    check_free_disk(out, needed * len(todo), "tables and images")
    here = RunLayout(out.absolute())  # a task may run on a machine with another current folder
    readers, scorers = choose_executor(batch.execution), choose_executor(batch.execution, gpu=True)
    steps: list[_Step] = [
        ("tile", TileTask(config, here, labels_needed=False), readers),
        ("predict", ScoreTask.of(scoring, here, model, settings.runtime), scorers),
        ("clusters", ClusterTask(here, config.morphometry, config.tiling.cell_finder), readers),
    ]
    with closing(readers), closing(scorers), locked(layout.lock, layout.locks_of_others()):
        record = None
        if batch.shard:
            shaping = [
                scoring.model_sha256, settings_sha256(config), images, settings.embeddings, scoring.ood_calls
            ]  # fmt: skip
            record = begin_shard(layout, batch.shard, "predict", entries, shaping)
        write_run_table(layout, manifest_text(entries, description.head_records, out))
        if scoring.embeddings_from is not None:
            for entry in todo:
                copy_tables(entry, config, scoring.embeddings_from, layout)
        summaries = _run_steps(todo, steps, layout)
        failed = {slide_id: reason for summary in summaries for slide_id, reason in summary.failed.items()}
        scored = [entry for entry in todo if entry.slide_id not in failed]
        not_drawn = [entry for entry in todo if not images or entry.slide_id in failed]
        _remove_outdated_images(not_drawn, layout, failed)
        summaries += _run_steps(scored, [(_IMAGES, RenderTask(here), readers)] if images else [], layout)
        return (
            finish_shard(layout, record, summaries) if record else _report(entries, layout, failed, summaries)
        )


def _embeddings_folder(settings: PredictSettings) -> RunLayout | None:
    """The folder of given embeddings, with an absolute path.

    Raises:
        UserError: It has none, or embeddings would be written too.
    """
    if settings.embeddings_from is None:
        return None
    if settings.embeddings:
        raise UserError("expected either --embeddings or --embeddings-from, found both; give one of them")
    layout = RunLayout(settings.embeddings_from.absolute())
    if not layout.embeddings("any").parent.is_dir():
        raise UserError(
            f"--embeddings-from: expected a folder that `inkdot embed` made, found {settings.embeddings_from}; "
            "name its --out"
        )
    return layout


def _plan(
    entry: SlideEntry, config: Config, layout: RunLayout, scoring: ScoringModel, *, images: bool
) -> str:
    """What the command would do with a slide, as a short phrase, for ``--dry-run``."""
    try:
        if not tiles_reusable(entry, config, layout, labels_needed=False):
            return "tile and score"
        if not (
            scores_reusable(entry, layout, scoring) and clusters_reusable(entry, layout, config.morphometry)
        ):
            return "score"
        return (
            "draw images"
            if images and not slide_images_current(entry, layout)
            else "nothing: scores are current"
        )
    except InkdotError as error:
        return f"fail: {error}"


def _report(
    entries: Sequence[SlideEntry],
    layout: RunLayout,
    failed: Mapping[str, str],
    summaries: Sequence[BatchSummary],
) -> int:
    """Print the summary and write the tables of the batch; returns the exit code."""
    console = Console(stderr=True)
    print_summary(console, summaries)  # before writing the tables, which a full disk may prevent
    try:
        slide_ids = [entry.slide_id for entry in entries]
        write_batch_tables(slide_ids, layout, failed, summaries[0].failed, console)
    except UserError as error:
        # The slides' own files are complete: the next run only needs to write the tables.
        console.print(Text(str(error)), soft_wrap=True)
        return 1
    return max(summary.exit_code for summary in summaries)


def _run_steps(
    entries: Sequence[SlideEntry], steps: Sequence[_Step], layout: RunLayout
) -> list[BatchSummary]:
    """Run the steps one after another, each on the slides on which no earlier step failed."""
    summaries: list[BatchSummary] = []
    for name, task, executor in steps:
        summaries.append(run_slides(name, entries, task, layout, executor=executor))
        entries = [entry for entry in entries if entry.slide_id not in summaries[-1].failed]
    return summaries


def _remove_outdated_images(
    entries: Sequence[SlideEntry], layout: RunLayout, failed: Collection[str]
) -> None:
    """Remove earlier images of slides that failed, or whose scores have changed."""
    for entry in entries:
        if entry.slide_id in failed or not slide_images_current(entry, layout):
            remove_slide_images(layout, entry.slide_id)


def _unfinished(
    entries: Sequence[SlideEntry], layout: RunLayout, scoring: ScoringModel, config: Config, *, images: bool
) -> list[SlideEntry]:
    def current(entry: SlideEntry) -> bool:
        return tiles_current(entry, config, layout) and scores_current(
            entry, layout, scoring.model_sha256, scoring.ood_calls, embeddings=scoring.embeddings
        )

    return unfinished_slides(entries, layout, (*_STAGES, _IMAGES) if images else _STAGES, current)

"""``inkdot predict``: cut new slides into tiles, score them, and say per slide what was seen."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.text import Text

from inkdot.config import Config
from inkdot.errors import UserError
from inkdot.execution.backends import choose_executor
from inkdot.execution.ray_settings import Cluster
from inkdot.execution.runner import BatchSummary, Executor, print_summary, run_slides
from inkdot.execution.task import SlideTask
from inkdot.manifest import manifest_text, read_all_slides, with_overrides
from inkdot.model.predictor import Runtime
from inkdot.pipeline.adequacy_table import assess_run
from inkdot.pipeline.cluster_slide import ClusterTask
from inkdot.pipeline.dry_run import planned_scoring, print_plan
from inkdot.pipeline.guards import refuse_real_slides
from inkdot.pipeline.render_slide import RenderTask, caption_lines, remove_slide_images, slide_images_current
from inkdot.pipeline.resume import as_worked_on, scores_kept, unfinished
from inkdot.pipeline.score_slide import Scoring
from inkdot.pipeline.score_task import ScoreTask
from inkdot.pipeline.tile_slide import TileTask
from inkdot.pipeline.warnings import warning_lines
from inkdot.records import SlideEntry
from inkdot.storage.atomic import write_text
from inkdot.storage.disk import IMAGES_BYTES_A_SLIDE, TABLES_BYTES_A_SLIDE, check_free_disk
from inkdot.storage.layout import RunLayout
from inkdot.storage.locking import locked
from inkdot.storage.model_files import ModelFile
from inkdot.storage.tables.predictions import Prediction, write_predictions

_STAGES = ("tile", "predict", "clusters")
_IMAGES = "images"


def run(
    sources: Sequence[Path],
    model: Path,
    out: Path,
    *,
    mpp: float | None = None,
    stain: str | None = None,
    preparation: str | None = None,
    allow_synthetic_model: bool = False,
    allow_unknown_scale: bool = False,
    runtime: Runtime = "auto",
    workers: int = 1,
    slide_timeout_s: float | None = None,
    cluster: Cluster | None = None,
    images: bool = True,
    retry_failed: bool = False,
    dry_run: bool = False,
    embeddings: bool = False,
) -> int:
    """Score slides and write ``out/predictions.csv``, ``out/scores`` and, around clusters, ``out/cluster_scores``.

    A slide whose images cannot be drawn keeps its scores and its line, and is named with those that failed.

    Args:
        sources: Manifests, slides or folders.
        model: A model folder.
        out: Results folder; a rerun keeps what still fits.
        mpp: Micrometres per pixel of every slide, instead of what the files state.
        stain: Stain of every slide.
        preparation: Preparation of every slide.
        allow_synthetic_model: Let a model trained on synthetic specimens judge real slides.
        allow_unknown_scale: Let a model trained on images of unknown scale judge slides.
        runtime: What the network runs in; see :class:`inkdot.model.predictor.Predictor`.
        workers: Processes that cut tiles.
        slide_timeout_s: A slide on which nothing moves for so many seconds is stopped and fails.
        cluster: A Ray cluster to work on, instead of this machine.
        images: Draw each slide's overview and heat map.
        retry_failed: Work only on slides that an earlier run into this folder did not finish.
        dry_run: Print what would be done with each slide, and write nothing.
        embeddings: Write ``out/embeddings`` as well: what the network saw of each tile.

    Returns:
        0 when every slide was scored and drawn, 1 when some failed or their lines could not be written.

    Raises:
        UserError: The input as a whole is wrong; nothing was written.
    """
    scoring = Scoring.load(
        model, allow_synthetic_model=allow_synthetic_model, runtime=runtime, embeddings=embeddings
    )
    description = scoring.scorer.description
    _refuse_unknown_scale(model, description, allowed=allow_unknown_scale)
    found = read_all_slides(sources, description.head_records)
    entries = with_overrides(found, mpp=mpp, stain=stain, preparation=preparation)
    layout = RunLayout(out)
    todo = _unfinished(entries, layout, scoring, images=images) if retry_failed else entries
    entries = as_worked_on(entries, todo, layout, description.head_records)
    if description.trained_on.synthetic and not allow_synthetic_model:
        refuse_real_slides(todo)
    config = tiling_config(description)
    if dry_run:
        return print_plan(
            Console(), todo, lambda entry: planned_scoring(entry, config, layout, scoring, images=images)
        )
    _check_room(out, len(todo), images=images)
    tilers = choose_executor(workers=workers, slide_timeout_s=slide_timeout_s, cluster=cluster)
    scorers = choose_executor(workers=1, slide_timeout_s=slide_timeout_s, cluster=cluster, gpu=True)
    here = RunLayout(out.absolute())  # a task may run elsewhere, where this folder is not the current one
    scoring_step: _Step = ("predict", ScoreTask.of(scoring, here, model, runtime), scorers)
    console = Console(stderr=True)
    with closing(tilers), closing(scorers), locked(layout.lock):
        write_text(layout.slides_csv, manifest_text(entries, description.head_records, out))
        summaries = _walk(todo, _around(scoring_step, config, here, tilers), layout)
        failed = {slide_id: why for summary in summaries for slide_id, why in summary.failed.items()}
        scored = [entry for entry in todo if entry.slide_id not in failed]
        _drop_images([entry for entry in todo if not images or entry.slide_id in failed], layout, failed)
        summaries += _walk(scored, [(_IMAGES, RenderTask(here), tilers)] if images else [], layout)
        print_summary(console, summaries)
        said = _said(entries, layout, failed, summaries[0], console)
    return max(summary.exit_code for summary in summaries) if said else 1


def _said(
    entries: Sequence[SlideEntry],
    layout: RunLayout,
    failed: Mapping[str, str],
    tiled: BatchSummary,
    console: Console,
) -> bool:
    """Write the lines, unless a full disk prevents it: who failed was said before, and the slides' own files are there."""
    try:
        _label(entries, layout, failed, tiled, console)
    except UserError as error:  # the next run needs to write this one only
        console.print(Text(str(error)), soft_wrap=True)
        return False
    return True


def _label(
    entries: Sequence[SlideEntry],
    layout: RunLayout,
    failed: Mapping[str, str],
    tiled: BatchSummary,
    console: Console,
) -> None:
    """Write a line per slide, what of it can be judged, and say what warns and how many are flagged."""
    predictions = [_prediction(entry, layout, failed, tiled.empty) for entry in entries]
    write_predictions(layout.predictions_csv, predictions)
    assess_run([entry.slide_id for entry in entries if entry.slide_id not in tiled.failed], layout)
    if others := _of_other_lists(entries, layout):
        named = ", ".join(others[:3]) + (" …" if len(others) > 3 else "")
        line = f"results of {len(others)} slides of another list lie there too ({named}): they have no line in predictions.csv"
        console.print(Text(line), soft_wrap=True)
    for warning in warning_lines(predictions):
        console.print(Text(f"! {warning}"), soft_wrap=True)
    flagged = sum(prediction.call == "flagged" for prediction in predictions)
    line = f"{flagged} of {len(predictions)} slides flagged; one line per slide in {layout.predictions_csv}"
    console.print(line, soft_wrap=True)


def _of_other_lists(entries: Sequence[SlideEntry], layout: RunLayout) -> list[str]:
    """Slides with scores in the folder that the command did not name, sorted."""
    named = {entry.slide_id for entry in entries}
    return sorted(
        path.stem for path in layout.scores("any").parent.glob("*.parquet") if path.stem not in named
    )


_Step = tuple[str, SlideTask, Executor]
"""Name of a step in the ledger, what it does with a slide, and where."""


def _around(scoring: _Step, config: Config, layout: RunLayout, engine: Executor) -> list[_Step]:
    """The steps of a slide: the one that scores, what it needs, and what comes of it."""
    before: _Step = ("tile", TileTask(config, layout), engine)
    return [before, scoring, ("clusters", ClusterTask(layout, config.morphometry), engine)]


def _check_room(out: Path, slides: int, *, images: bool) -> None:
    bytes_a_slide = TABLES_BYTES_A_SLIDE + (IMAGES_BYTES_A_SLIDE if images else 0)
    check_free_disk(out, bytes_a_slide * slides, "tables and images")


def _walk(entries: Sequence[SlideEntry], steps: Sequence[_Step], layout: RunLayout) -> list[BatchSummary]:
    """Step after step, each on the slides that the steps before it did not fail on."""
    summaries: list[BatchSummary] = []
    for name, task, engine in steps:
        summaries.append(run_slides(name, entries, task, layout, engine=engine))
        entries = [entry for entry in entries if entry.slide_id not in summaries[-1].failed]
    return summaries


def _drop_images(entries: Sequence[SlideEntry], layout: RunLayout, failed: Collection[str]) -> None:
    """Take away earlier images of slides that now failed, or that now have other scores."""
    for entry in entries:
        if entry.slide_id in failed or not slide_images_current(entry, layout):
            remove_slide_images(layout, entry.slide_id)


def _unfinished(
    entries: Sequence[SlideEntry], layout: RunLayout, scoring: Scoring, *, images: bool
) -> list[SlideEntry]:
    def kept(entry: SlideEntry) -> bool:
        return scores_kept(entry, layout, scoring.model_sha256, embeddings=scoring.embeddings)

    return unfinished(entries, layout, (*_STAGES, _IMAGES) if images else _STAGES, kept)


def _refuse_unknown_scale(folder: Path, model: ModelFile, *, allowed: bool) -> None:
    if not (model.mpp_known or allowed):
        raise UserError(
            f"{folder}: expected a model of known scale, found one trained on images whose micrometres per pixel nobody "
            "stated; train on images of known scale, or pass --allow-unknown-scale to cut slides at the scale of its "
            f"config ({model.tiling.mpp:g} µm/px), which may be wrong"
        )


def tiling_config(model: ModelFile) -> Config:
    """The settings with which slides must be cut for a model: its own."""
    return Config(preparation=model.preparation, tiling=model.tiling, heads=model.heads)


def _prediction(
    entry: SlideEntry, layout: RunLayout, failed: Mapping[str, str], empty: frozenset[str]
) -> Prediction:
    if entry.slide_id in failed:
        # A slide without anything on it is a finding, not only a failure: too few cells, never "negative".
        call = "inadequate" if entry.slide_id in empty else ""
        return Prediction(entry.slide_id, "failed", call, reason=failed[entry.slide_id])
    return caption_lines(layout, entry.slide_id)

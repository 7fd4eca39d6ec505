"""Which slides of an earlier run are still to be done: the label to ``--retry-failed``.

A rerun without it asks of every slide whether its result still fits, for which each file must be opened and
sampled. For ten thousand slides that takes long; the ledger knows at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from inkdot.config import Config
from inkdot.errors import StorageError
from inkdot.labels import Head
from inkdot.manifest import read_slides
from inkdot.pipeline.tile_slide import settings_sha256
from inkdot.records import SlideEntry
from inkdot.storage.embeddings import read_embeddings_facts
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import read
from inkdot.storage.schemas import SCORES_VERSION, TILES_VERSION
from inkdot.storage.tables.parquet_tables import read_footer


def unfinished(
    entries: Sequence[SlideEntry],
    layout: RunLayout,
    stages: Sequence[str],
    kept: Callable[[SlideEntry], bool],
) -> list[SlideEntry]:
    """Slides that failed, were never finished, or whose result is gone or was made with other settings.

    Args:
        entries: All slides.
        layout: The folder of the earlier run.
        stages: Names of the stages to look for, the last being the one that makes the result.
        kept: Whether a slide's result lies there, made with these settings; the slide file is not looked at.
    """
    last = {(line.slide_id, line.stage): line.outcome for line in read(layout.ledger) if line.stage in stages}
    failed = {slide_id for (slide_id, _), outcome in last.items() if outcome == "failed"}
    finished = {slide_id for slide_id, stage in last if stage == stages[-1]} - failed
    return [entry for entry in entries if entry.slide_id not in finished or not kept(entry)]


def as_worked_on(
    entries: Sequence[SlideEntry], todo: Sequence[SlideEntry], layout: RunLayout, heads: Sequence[Head]
) -> list[SlideEntry]:
    """All slides, those that keep their results as the run that made these knew them.

    What a command says of all slides, such as ``--mpp``, is not true of a result that was made without it: whoever opens
    the slide by ``slides.csv`` would look at other pixels than were scored.

    Args:
        entries: All slides, as the command knows them now.
        todo: Those worked on again.
        layout: The folder of the earlier run.
        heads: The heads that its ``slides.csv`` may label.
    """
    again = {entry.slide_id for entry in todo}
    if len(again) == len(entries) or not layout.slides_csv.exists():
        return list(entries)
    before = {entry.slide_id: entry for entry in read_slides(layout.slides_csv, heads)}

    def known(entry: SlideEntry) -> SlideEntry:
        earlier = before.get(entry.slide_id)
        if entry.slide_id in again or earlier is None:
            return entry
        return replace(entry, mpp=earlier.mpp, stain=earlier.stain, preparation=earlier.preparation)

    return [known(entry) for entry in entries]


def tiles_kept(entry: SlideEntry, config: Config, layout: RunLayout) -> bool:
    """Whether tiles made with these settings lie there."""
    try:
        facts = read_footer(layout.tiles(entry.slide_id), TILES_VERSION)
    except StorageError:
        return False
    return facts.get("tiling_sha256") == settings_sha256(config)


def scores_kept(entry: SlideEntry, layout: RunLayout, model_sha256: str, *, embeddings: bool = False) -> bool:
    """Whether scores of this model lie there, and embeddings where they are wanted."""
    try:
        kept = [read_footer(layout.scores(entry.slide_id), SCORES_VERSION)]
        kept += [read_embeddings_facts(layout, entry.slide_id)] if embeddings else []
    except StorageError:
        return False
    return all(facts.get("model_sha256") == model_sha256 for facts in kept)

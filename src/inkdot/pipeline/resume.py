"""Which slides of an earlier run are still to be done, for ``--retry-failed``.

A rerun without it opens and samples every slide file to check whether its result is valid, which takes long for ten
thousand slides. The ledger gives the answer at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from inkdot.config import Config
from inkdot.errors import StorageError
from inkdot.labels import Head
from inkdot.manifest import read_slides
from inkdot.pipeline.tile_slide import settings_sha256
from inkdot.records import SlideEntry
from inkdot.storage.embeddings.slide_embeddings import read_embeddings_metadata
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import failures, read_all
from inkdot.storage.schemas import SCORES_VERSION, TILES_VERSION
from inkdot.storage.tables.parquet_tables import read_footer
from inkdot.storage.tables.scores import OOD_CALLS


def unfinished_slides(
    entries: Sequence[SlideEntry],
    layout: RunLayout,
    stages: Sequence[str],
    current: Callable[[SlideEntry], bool],
) -> list[SlideEntry]:
    """Slides that failed, never finished, or whose result is missing or was made with other settings.

    Args:
        entries: All slides.
        layout: The folder of the earlier run.
        stages: Names of the stages, the last of which makes the result.
        current: Whether a slide's result exists and was made with these settings; the slide file is not opened.
    """
    lines = [line for line in read_all(layout) if line.stage in stages]
    finished = {line.slide_id for line in lines if line.stage == stages[-1]} - failures(lines).keys()
    return [entry for entry in entries if entry.slide_id not in finished or not current(entry)]


def keep_overrides(
    entries: Sequence[SlideEntry], todo: Sequence[SlideEntry], layout: RunLayout, heads: Sequence[Head]
) -> list[SlideEntry]:
    """All slides, with the overrides of the earlier run where its results are kept.

    Overrides such as ``--mpp`` do not hold for results that were made without them: ``slides.csv`` would then give other
    pixels than were scored.

    Args:
        entries: All slides, with the overrides of this run.
        todo: Those that are processed again.
        layout: The folder of the earlier run.
        heads: Heads whose labels its ``slides.csv`` may hold.
    """
    again = {entry.slide_id for entry in todo}
    if len(again) == len(entries) or not layout.slides_csv.exists():
        return list(entries)
    before = {entry.slide_id: entry for entry in read_slides(layout.slides_csv, heads)}

    def with_earlier_overrides(entry: SlideEntry) -> SlideEntry:
        earlier = before.get(entry.slide_id)
        if entry.slide_id in again or earlier is None:
            return entry
        return replace(entry, mpp=earlier.mpp, stain=earlier.stain, preparation=earlier.preparation)

    return [with_earlier_overrides(entry) for entry in entries]


def tiles_current(entry: SlideEntry, config: Config, layout: RunLayout) -> bool:
    """Whether tiles made with these settings exist; the slide file is not opened."""
    try:
        facts = read_footer(layout.tiles(entry.slide_id), TILES_VERSION)
    except StorageError:
        return False
    return facts.get("tiling_sha256") == settings_sha256(config)


def scores_current(
    entry: SlideEntry, layout: RunLayout, model_sha256: str, ood_calls: str, *, embeddings: bool = False
) -> bool:
    """Whether scores of this model exist, and embeddings where requested; the slide file is not opened.

    Args:
        entry: The slide.
        layout: The results folder.
        model_sha256: Hash of the model.
        ood_calls: What becomes of the call of a slide unlike those of training: ``abstain`` or ``keep``.
        embeddings: Whether the embeddings must be there, too.
    """
    try:
        footers = [read_footer(layout.scores(entry.slide_id), SCORES_VERSION)]
        footers += [read_embeddings_metadata(layout, entry.slide_id)] if embeddings else []
    except StorageError:
        return False
    return footers[0].get(OOD_CALLS) == ood_calls and all(
        facts.get("model_sha256") == model_sha256 for facts in footers
    )

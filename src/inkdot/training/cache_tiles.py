"""Reading the pixels of a cohort's training tiles into the cache of the run folder."""

import shutil
from collections.abc import Sequence

from inkdot.datasets.cohort import Cohort
from inkdot.datasets.tile_cache import CacheTask, LabelledTiles
from inkdot.errors import UserError
from inkdot.execution.runner import print_summary, run_slides
from inkdot.training.run_context import RunContext


def cache_cohort(
    cohort: Cohort, used: Sequence[LabelledTiles], context: RunContext, workers: int
) -> dict[str, str]:
    """Read the pixels of the tiles that are used; the reason of each slide that failed, by slide_id."""
    config, layout = context.config, context.layout
    _check_disk(cohort, context)
    entries, task = [tiles.entry for tiles in used], CacheTask(config, layout, cohort.by_slide)
    cached = run_slides("cache", entries, task, layout, workers=workers, description="Reading tiles")
    print_summary(context.console, [cached])
    return cached.failed


def _check_disk(cohort: Cohort, context: RunContext) -> None:
    """Print how much disk the cached tiles will take.

    Raises:
        UserError: The disk has less.
    """
    layout = context.layout
    needed = sum(tiles.nbytes(context.config.tiling.side_px) for tiles in cohort.used())
    free = shutil.disk_usage(layout.root).free + sum(
        f.stat().st_size for f in layout.tile_cache.glob("*.npy")
    )
    if needed > free:
        raise UserError(
            f"{layout.tile_cache}: expected {needed / 1e9:.1f} GB of free disk for the training tiles, found "
            f"{free / 1e9:.1f} GB; free some, choose another --out, or lower training.max_tiles_per_slide"
        )
    context.print(
        [f"Training tiles: {needed / 1e6:.0f} MB in {layout.tile_cache}, which can be deleted afterwards."]
    )

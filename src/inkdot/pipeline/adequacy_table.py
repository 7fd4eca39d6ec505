"""What of a run's slides can be judged: one table, and a line for the person who waits."""

from collections.abc import Iterable, Mapping
from typing import cast

from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.assessments import write_assessments
from inkdot.storage.tables.parquet_tables import read_footer


def assess_run(slide_ids: Iterable[str], layout: RunLayout) -> str:
    """Write ``assessment.csv`` from the footers of the tile tables, and say how many slides are inadequate.

    Args:
        slide_ids: Slides that have tiles.
        layout: The run folder.

    Raises:
        StorageError: A tile table cannot be read.
    """
    said: list[tuple[str, Mapping[str, object]]] = []
    for slide_id in slide_ids:
        facts = read_footer(layout.tiles(slide_id), TILES_VERSION)
        said.append((slide_id, cast("Mapping[str, object]", facts.get("assessment") or {})))
    write_assessments(layout.assessment_csv, said)
    short = [slide_id for slide_id, assessment in said if not assessment.get("adequate")]
    named = f" ({', '.join(short[:3])}{', …' if len(short) > 3 else ''})" if short else ""
    return f"{len(short)} of {len(said)} slides have too little to judge{named}; areas by reason in {layout.assessment_csv}"

"""The table of the adequacy of all slides of a run."""

from collections.abc import Iterable, Mapping
from typing import cast

from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.assessments import write_assessments
from inkdot.storage.tables.parquet_tables import read_footer


def write_adequacy_table(slide_ids: Iterable[str], layout: RunLayout) -> str:
    """Write ``assessment.csv`` from the footers of the tile tables.

    Args:
        slide_ids: Slides that have tiles.
        layout: The run folder.

    Returns:
        A line with the number of inadequate slides.

    Raises:
        StorageError: A tile table cannot be read.
    """
    rows: list[tuple[str, Mapping[str, object]]] = []
    for slide_id in slide_ids:
        facts = read_footer(layout.tiles(slide_id), TILES_VERSION)
        rows.append((slide_id, cast("Mapping[str, object]", facts.get("assessment") or {})))
    write_assessments(layout.assessment_csv, rows)
    short = [slide_id for slide_id, assessment in rows if not assessment.get("adequate")]
    named = f" ({', '.join(short[:3])}{', …' if len(short) > 3 else ''})" if short else ""
    return f"{len(short)} of {len(rows)} slides are inadequate{named}; areas by reason in {layout.assessment_csv}"

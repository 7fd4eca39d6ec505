"""The table of the adequacy of all slides of a run."""

from collections.abc import Iterable, Mapping
from typing import cast

from inkdot.pipeline.results.warnings import group_warnings
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.assessments import write_assessments
from inkdot.storage.tables.parquet_tables import read_footer
from inkdot.storage.tables.predictions import WARNING_SEPARATOR


def write_adequacy_table(slide_ids: Iterable[str], layout: RunLayout) -> list[str]:
    """Write ``assessment.csv`` from the footers of the tile tables.

    Args:
        slide_ids: Slides that have tiles.
        layout: The run folder.

    Returns:
        A line with the number of inadequate slides, and one for each kind of warning.

    Raises:
        StorageError: A tile table cannot be read.
    """
    rows: list[tuple[str, Mapping[str, object]]] = []
    found: list[tuple[str, str]] = []
    for slide_id in slide_ids:
        facts = read_footer(layout.tiles(slide_id), TILES_VERSION)
        slide = cast("Mapping[str, object]", facts["slide"])
        warnings = cast("list[str]", slide["warnings"])
        assessment = cast("Mapping[str, object]", facts.get("assessment") or {})
        rows.append((slide_id, {**assessment, "warnings": WARNING_SEPARATOR.join(warnings)}))
        found += [(slide_id, warning) for warning in dict.fromkeys(warnings)]
    write_assessments(layout.assessment_csv, rows)
    short = [slide_id for slide_id, assessment in rows if not assessment.get("adequate")]
    named = f" ({', '.join(short[:3])}{', …' if len(short) > 3 else ''})" if short else ""
    return [
        f"{len(short)} of {len(rows)} slides are inadequate{named}; areas by reason in {layout.assessment_csv}",
        *(f"! {line}" for line in group_warnings(found, len(rows))),
    ]

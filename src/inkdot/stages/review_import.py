"""``inkdot review import``: convert readers' verdicts into training labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from rich.console import Console

from inkdot.errors import UserError
from inkdot.labels import DEFAULT_HEADS, Head
from inkdot.review.gallery.pseudonyms import read_pseudonyms
from inkdot.review.verdicts.qupath_import import read_qupath
from inkdot.review.verdicts.stored_verdicts import read_stored_verdicts
from inkdot.review.verdicts.verdict_table import Verdict, latest_verdicts
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import SCORES_VERSION
from inkdot.storage.tables.labels_table import RegionLabel, write_labels
from inkdot.storage.tables.parquet_tables import read_footer

QUPATH_SUFFIXES = frozenset({".geojson", ".json"})


def run(
    verdicts: Sequence[Path],
    out: Path,
    *,
    heads: Sequence[Head] = DEFAULT_HEADS,
    results: Path | None = None,
    reader: str = "",
) -> int:
    """Write a labels table with one row per reader, region and head.

    Disagreeing verdicts are both kept: tiling averages them into a soft target. Of repeated verdicts of a reader the latest
    counts. The column ``source`` states whether scores were shown, and the model of the regions.

    Args:
        verdicts: Tables saved by galleries, databases of the server, and GeoJSON files saved by QuPath, named by their
            slide_id.
        out: The labels table to write.
        heads: The heads that may be reviewed.
        results: Results folder of the regions: gives the origin of QuPath's coordinates and the slides of pseudonyms.
        reader: Pseudonym of the reader who used QuPath.

    Returns:
        0.

    Raises:
        ManifestError: A table or file is missing or invalid.
        UserError: A GeoJSON file is given without ``results`` or ``reader``, or belongs to no slide of the results.
        StorageError: The results' scores cannot be read.
    """
    console = Console(stderr=True)
    drawn = [path for path in verdicts if path.suffix.lower() in QUPATH_SUFFIXES]
    found = [
        verdict for path in verdicts if path not in drawn for verdict in read_stored_verdicts(path, heads)
    ]
    kept = latest_verdicts(found)
    names = _real_names(results)
    labels = [_label(verdict, names) for verdict in kept]
    for path in sorted(drawn):
        labels += _drawn_labels(path, heads, results, reader, console)
    write_labels(out, labels)
    notes = sum(not verdict.head for verdict in found)
    replaced = len(found) - notes - len(kept)
    readers, slides = {label.reader for label in labels}, {label.slide_id for label in labels}
    console.print(
        f"{len(labels)} verdicts of {len(readers)} readers on {len(slides)} slides in {out} "
        f"({replaced} earlier or repeated verdicts and {notes} notes without a verdict ignored)",
        soft_wrap=True,
        markup=False,
    )
    return 0


def _drawn_labels(
    path: Path, heads: Sequence[Head], results: Path | None, reader: str, console: Console
) -> list[RegionLabel]:
    if results is None or not reader.strip():
        raise UserError(
            f"{path}: expected --results and --reader with annotations from QuPath, found one or both missing"
        )
    slide_id = _real_names(results).get(path.stem, path.stem)
    scores = RunLayout(results).scores(slide_id)
    if not scores.exists():
        raise UserError(
            f"{path}: expected a file named by a slide of {results}, found no slide {slide_id!r} there; rename the file"
        )
    slide = cast("Mapping[str, object]", read_footer(scores, SCORES_VERSION)["slide"])
    bounds = cast("Sequence[int] | None", slide["bounds_l0_px"])
    size = cast("tuple[int, int]", (slide["width_l0_px"], slide["height_l0_px"]))
    found = read_qupath(path, heads, (bounds[0], bounds[1]) if bounds else (0, 0), size)
    if found.ignored:
        classes = ", ".join(f"{name} ({count})" for name, count in found.ignored.items())
        console.print(
            f"{path.name}: ignored annotations without a verdict: {classes}",
            soft_wrap=True,
            markup=False,
        )
    return [
        RegionLabel(slide_id, region, head, verdict, reader.strip(), "review, QuPath")
        for region, head, verdict in found.verdicts
    ]


def _real_names(results: Path | None) -> dict[str, str]:
    """Slides by their pseudonyms; none where no pseudonyms were used."""
    known = read_pseudonyms(RunLayout(results).pseudonyms_csv) if results else {}
    return {name: slide_id for slide_id, name in known.items()}


def _label(verdict: Verdict, names: Mapping[str, str]) -> RegionLabel:
    source = f"review, {verdict.shown} shown" if verdict.shown == "scores" else "review, blinded"
    return RegionLabel(
        slide_id=names.get(verdict.slide_id, verdict.slide_id),
        geometry=verdict.geometry,
        head=verdict.head,
        label=verdict.verdict,
        reader=verdict.reader,
        source=f"{source}, model {verdict.model_sha256[:12]}",
    )

"""``inkdot review import``: readers' verdicts become labels to train on."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from inkdot.artefacts.labels_table import PlaceLabel, write_labels
from inkdot.labels import DEFAULT_HEADS, Head
from inkdot.review.verdicts import Verdict, latest_answers, read_verdicts


def run(verdicts: Sequence[Path], out: Path, *, heads: Sequence[Head] = DEFAULT_HEADS) -> int:
    """Write a labels table with one row per reader, place and question.

    Readers who disagree both stay: tiling averages the answers about one place into a soft target. Where a reader
    answered twice, the later answer counts. The column ``source`` says what the reader saw and whose places they were.

    Args:
        verdicts: Tables that galleries saved.
        out: The labels table to write.
        heads: The questions that may be answered.

    Returns:
        0.

    Raises:
        ManifestError: A table is missing or wrong.
    """
    found = [verdict for path in verdicts for verdict in read_verdicts(path, heads)]
    kept = latest_answers(found)
    write_labels(out, [_label(verdict) for verdict in kept])
    notes = sum(not verdict.head for verdict in found)
    replaced = len(found) - notes - len(kept)
    readers, slides = {verdict.reader for verdict in kept}, {verdict.slide_id for verdict in kept}
    console = Console(stderr=True)
    console.print(
        f"{len(kept)} answers of {len(readers)} readers on {len(slides)} slides in {out} "
        f"({replaced} earlier or repeated answers and {notes} notes without an answer left out)",
        soft_wrap=True,
        markup=False,
    )
    return 0


def _label(verdict: Verdict) -> PlaceLabel:
    source = f"review, {verdict.shown} shown" if verdict.shown == "scores" else "review, blinded"
    return PlaceLabel(
        slide_id=verdict.slide_id,
        place=verdict.place,
        head=verdict.head,
        answer=verdict.answer,
        reader=verdict.reader,
        source=f"{source}, model {verdict.model_sha256[:12]}",
    )

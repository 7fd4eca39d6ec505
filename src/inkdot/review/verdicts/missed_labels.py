"""Regions that readers marked as missed, as labels for training and evaluation."""

from collections.abc import Iterable, Sequence
from typing import Final

from inkdot.labels import CELL, FINDER_HEAD, Head, flagging_head
from inkdot.review.verdicts.answers import MissedRegion
from inkdot.review.verdicts.questions import LOOK_AGAIN, flag_label
from inkdot.review.verdicts.verdict_table import Verdict
from inkdot.storage.tables.labels_table import RegionLabel

_REMARK: Final = "marked as missed"


def missed_labels(missed: Iterable[MissedRegion], heads: Sequence[Head]) -> list[RegionLabel]:
    """Labels of the flagging head.

    A region of the flag class makes a positive tile in training and a region to be found in evaluation. One to look at again
    gets the label that training does not use, so that its tiles are no examples of any class; one of another thing gets none.
    """
    head = flagging_head(heads)
    unused = next((label for label, weights in head.labels.items() if not weights), None)
    by_verdict = {flag_label(heads): flag_label(heads), LOOK_AGAIN: unused}
    return [
        RegionLabel(
            one.slide_id,
            one.geometry,
            head.name,
            label,
            one.reader,
            f"{source_words(one.shown, one.model_sha256)}, {_REMARK}",
        )
        for one in missed
        if (label := by_verdict.get(one.verdict)) is not None
    ]


def missed_cells(missed: Iterable[MissedRegion], heads: Sequence[Head]) -> list[Verdict]:
    """What the marks say about the cell finder: in a region of the flag class there is a cell."""
    return [
        Verdict(
            one.slide_id, one.geometry, FINDER_HEAD.name, CELL, one.reader, one.time, one.shown, "", one.model_sha256
        )
        for one in missed
        if one.verdict == flag_label(heads)
    ]  # fmt: skip


def source_words(shown: str, model_sha256: str) -> str:
    """Where a label of a review comes from: what the reader saw, and the model of the regions."""
    return f"review, {'scores shown' if shown == 'scores' else 'blinded'}, model {model_sha256[:12]}"


def is_marked_missed(source: str) -> bool:
    """Whether the source of a label says that a reader marked the region as missed."""
    return source.startswith("review") and source.endswith(_REMARK)

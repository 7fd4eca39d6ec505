"""The reading of a study that is open for a reader: the first, then after the wash-out the second."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from inkdot.errors import StorageError, UserError
from inkdot.review.study.design import StudyDesign
from inkdot.review.study.progress import answers_of_reading, second_opens, unanswered
from inkdot.serve.served_results import ServedResults, ServeSettings
from inkdot.storage.verdict_schema import Change


@dataclass(frozen=True, slots=True)
class OpenReading:
    """A reading that may be shown now.

    Attributes:
        served: Its slides in their order.
        number: 1 or 2.
        left: Slides that the reader has still to answer, by the names that are shown.
    """

    served: ServedResults
    number: int
    left: tuple[str, ...]


def open_reading(
    design: StudyDesign,
    reader: str,
    changes: Sequence[Change],
    settings: ServeSettings,
    serve: Callable[[ServeSettings], ServedResults],
    now: datetime,
) -> OpenReading:
    """The reading that is open for a reader.

    The second opens when every slide of the first is answered and the wash-out has passed. Until then nothing of either is
    served: who looks at the first again during the wash-out would remember it.

    Args:
        design: The study.
        reader: Pseudonym of the reader.
        changes: The state of every region and slide of every reader.
        settings: Further settings, such as pseudonyms.
        serve: Reads the results under given settings.
        now: The time, aware of its zone.

    Raises:
        UserError: The study has no such reader, the wash-out has not passed, or both readings are complete.
        StorageError: The results are not those of the study.
    """
    plan = design.plan_of(reader)
    for number, reading in enumerate((plan.first, plan.second), start=1):
        answers = answers_of_reading(changes, reader, reading)
        opens = second_opens(answers_of_reading(changes, reader, plan.first), design.washout_days)
        if number == 2 and opens is not None and now < opens:
            raise UserError(
                f"{reader}: the second reading opens on {opens:%Y-%m-%d at %H:%M} UTC, {design.washout_days:g} days after "
                "the last answer of the first (wash-out); no place is shown before"
            )
        served = serve(
            replace(
                settings,
                top_n=design.top_n,
                blinded_seed=reading.blinded_seed,
                slides=reading.slides,
                order_seed=reading.order_seed,
            )
        )
        if served.study.model_sha256 != design.model_sha256:
            raise StorageError(
                "expected the results of the model that the study was made with, found another model's; serve those results"
            )
        if left := unanswered(answers, _regions(served)):
            return OpenReading(served, number, tuple(left))
    raise UserError(f"{reader}: both readings are complete; `inkdot review study tables` makes the tables")


def _regions(served: ServedResults) -> dict[str, list[str]]:
    """Keys of the regions by slide, in the order in which slides are shown."""
    slides = cast("list[Mapping[str, object]]", served.facts["slides"])
    return {str(slide["id"]): cast("list[str]", slide["region_keys"]) for slide in slides}

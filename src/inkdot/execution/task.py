"""One attempt at one slide: whatever goes wrong inside becomes this slide's failure."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from inkdot.errors import InkdotError, NoForegroundError
from inkdot.records import SlideEntry
from inkdot.storage.ledger import Outcome

SlideTask = Callable[[SlideEntry], Outcome]
"""What to do with one slide; says ``done`` or ``reused``. Sent to other processes: no lambdas, no handles."""

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SlideReport:
    """What became of one slide.

    Attributes:
        slide_id: The slide.
        outcome: done, reused or failed.
        seconds: Wall-clock seconds of the attempt; 0 where nobody lived to tell.
        reason: Why it failed, in one line.
        empty: It failed because nothing could be told from empty glass.
    """

    slide_id: str
    outcome: Outcome
    seconds: float = 0.0
    reason: str = ""
    empty: bool = False


def attempt(task: SlideTask, entry: SlideEntry) -> SlideReport:
    """Do the task; an interruption by the user alone goes through."""
    start = time.perf_counter()
    empty = False
    try:
        outcome, reason = task(entry), ""
    except InkdotError as error:
        outcome, reason = "failed", str(error)
        empty = isinstance(error, NoForegroundError)
    except MemoryError as error:
        found = f"none left ({error})" if str(error) else "none left"
        outcome = "failed"
        reason = f"expected enough memory, found {found}; use fewer --workers, or a machine with more"
    except Exception as error:  # noqa: BLE001 - the one broad except: a batch outlives its worst slide
        _LOG.debug("%s failed", entry.slide_id, exc_info=True)
        outcome, reason = "failed", f"unexpected {type(error).__name__}: {error}"
    return SlideReport(entry.slide_id, outcome, time.perf_counter() - start, " ".join(reason.split()), empty)

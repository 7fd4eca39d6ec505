"""One task on one slide: any error becomes the failure of this slide."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from inkdot.errors import InkdotError
from inkdot.records import SlideEntry
from inkdot.storage.ledger import Outcome


@dataclass(frozen=True, slots=True)
class Returned:
    """Outcome of a task that writes no file, with what it found.

    Attributes:
        outcome: done or reused.
        value: Reaches the caller as :attr:`TaskResult.value`; it is pickled on its way from a process.
    """

    outcome: Outcome
    value: object


SlideTask = Callable[[SlideEntry], Outcome | Returned]
"""Processes one slide and returns ``done`` or ``reused``. It is pickled: no lambdas, no open handles."""

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TaskResult:
    """Result of a task on one slide.

    Attributes:
        slide_id: The slide.
        outcome: done, reused or failed.
        seconds: Wall-clock seconds; 0 where the process died.
        reason: Why it failed, in one line; empty otherwise.
        value: What a task gave as :class:`Returned`; None of others.
    """

    slide_id: str
    outcome: Outcome
    seconds: float = 0.0
    reason: str = ""
    value: object = None


def run_task(task: SlideTask, entry: SlideEntry) -> TaskResult:
    """Run a task on a slide and catch every exception; only an interruption by the user is raised."""
    start = time.perf_counter()
    value: object = None
    outcome: Outcome
    try:
        result, reason = task(entry), ""
        outcome, value = (result.outcome, result.value) if isinstance(result, Returned) else (result, None)
    except InkdotError as error:
        outcome, reason = "failed", str(error)
    except MemoryError as error:
        found = f"none left ({error})" if str(error) else "none left"
        outcome = "failed"
        reason = f"expected enough memory, found {found}; use fewer --workers, or a machine with more"
    except Exception as error:  # noqa: BLE001 - the one broad except: one bad slide must not end the batch
        _LOG.debug("%s failed", entry.slide_id, exc_info=True)
        outcome, reason = "failed", f"unexpected {type(error).__name__}: {error}"
    return TaskResult(entry.slide_id, outcome, time.perf_counter() - start, " ".join(reason.split()), value)

"""Reading while something else computes: decoders release the interpreter, and so do networks."""

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_LOOK_S = 0.2
"""How often a reader that waits for room asks whether anybody still listens."""


@dataclass(frozen=True, slots=True)
class _Ended:
    error: BaseException | None


@contextmanager
def ahead(items: Iterator[T], depth: int) -> Generator[Iterator[T], None, None]:
    """The same items in the same order, read by a thread of their own up to ``depth`` items ahead.

    An error of the reader is raised where its item would have come. After the block the thread has ended, so that what
    it reads from can be closed.
    """
    waiting: queue.Queue[T | _Ended] = queue.Queue(maxsize=depth)
    left = threading.Event()

    def put(item: T | _Ended) -> bool:
        while not left.is_set():
            try:
                waiting.put(item, timeout=_LOOK_S)
            except queue.Full:
                continue
            return True
        return False

    def read() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as raised:  # noqa: BLE001 - handed over to whoever reads, in its place
            error = raised
        put(_Ended(error))

    def handed_over() -> Iterator[T]:
        while not isinstance(item := waiting.get(), _Ended):
            yield item
        if item.error is not None:
            raise item.error

    thread = threading.Thread(target=read, name="reading ahead", daemon=True)
    thread.start()
    try:
        yield handed_over()
    finally:
        left.set()
        thread.join()

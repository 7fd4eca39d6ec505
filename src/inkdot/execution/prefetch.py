"""Reading ahead in a thread, while the caller computes: decoders and networks release the interpreter lock."""

import itertools
import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.2
"""How often a reader that waits for a free slot checks whether the block has been left."""


def in_turns(streams: Sequence[Iterator[T]], block: int) -> Iterator[T]:
    """``block`` items from each stream in turn, until the stream whose turn it is has ended: what :func:`dealt` dealt."""
    for number in itertools.count():
        items = list(itertools.islice(streams[number % len(streams)], block))
        yield from items
        if len(items) < block:
            return


def dealt(count: int, streams: int, block: int) -> list[list[int]]:
    """The numbers 0 to ``count`` - 1, dealt to streams in blocks, each stream's in ascending order."""
    return [
        [
            number
            for start in range(block * stream, count, block * streams)
            for number in range(start, min(start + block, count))
        ]
        for stream in range(streams)
    ]


@dataclass(frozen=True, slots=True)
class _Ended:
    error: BaseException | None


@contextmanager
def prefetch(items: Iterator[T], depth: int) -> Generator[Iterator[T], None, None]:
    """The same items in the same order, read by a thread up to ``depth`` items ahead.

    An error of the reader is raised where its item would have come. After the block the thread has ended, so that its
    source can be closed.
    """
    waiting: queue.Queue[T | _Ended] = queue.Queue(maxsize=depth)
    left = threading.Event()

    def put(item: T | _Ended) -> bool:
        while not left.is_set():
            try:
                waiting.put(item, timeout=_POLL_S)
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
        except BaseException as raised:  # noqa: BLE001 - raised again in the consumer, at this position
            error = raised
        put(_Ended(error))

    def received() -> Iterator[T]:
        while not isinstance(item := waiting.get(), _Ended):
            yield item
        if item.error is not None:
            raise item.error

    thread = threading.Thread(target=read, name="prefetch", daemon=True)
    thread.start()
    try:
        yield received()
    finally:
        left.set()
        thread.join()

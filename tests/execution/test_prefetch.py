"""Items come in order while more are read; an error comes in its place; nothing runs on afterwards."""

import threading
import time
from collections.abc import Iterator

import pytest

from inkdot.execution.prefetch import dealt, in_turns, prefetch


def slowly(count: int, seconds: float, log: list[int]) -> Iterator[int]:
    for number in range(count):
        time.sleep(seconds)
        log.append(number)
        yield number


def test_the_same_items_in_the_same_order() -> None:
    with prefetch(iter(range(1000)), 7) as items:
        assert list(items) == list(range(1000))
    with prefetch(iter(()), 7) as items:
        assert list(items) == []


def test_reading_goes_on_while_the_reader_is_busy_but_not_without_end() -> None:
    log: list[int] = []
    with prefetch(slowly(100, 0.002, log), 5) as items:
        assert next(items) == 0
        deadline = time.monotonic() + 60
        while len(log) < 7 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        assert len(log) == 7  # one taken, five waiting, one in hand


def test_an_error_comes_where_its_item_would_have_come() -> None:
    def breaking() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("damaged strip")

    with prefetch(breaking(), 5) as items:
        assert [next(items), next(items)] == [1, 2]
        with pytest.raises(ValueError, match="damaged strip"):
            next(items)


def test_no_thread_is_left_when_the_block_is_left_early() -> None:
    with prefetch(slowly(10_000, 0.001, []), 3) as items:
        next(items)
    assert [thread for thread in threading.enumerate() if thread.name == "prefetch"] == []


@pytest.mark.parametrize("count", [0, 1, 5, 6, 11, 12, 13, 100])
@pytest.mark.parametrize("streams", [1, 2, 3])
def test_what_is_dealt_to_streams_comes_back_in_order(count: int, streams: int) -> None:
    hands = dealt(count, streams, 4)
    assert len(hands) == streams
    assert all(hand == sorted(hand) for hand in hands)
    assert list(in_turns([iter(hand) for hand in hands], 4)) == list(range(count))


def test_an_error_of_one_stream_comes_in_its_place() -> None:
    def breaking() -> Iterator[int]:
        yield 4
        raise ValueError("damaged strip")

    items = in_turns([iter([0, 1, 2, 3, 8, 9]), breaking()], 4)
    assert [next(items) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="damaged strip"):
        next(items)

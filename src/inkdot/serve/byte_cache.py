"""A least-recently-used cache of encoded images, bounded in bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable


class ByteCache:
    """LRU cache; thread-safe.

    Args:
        max_bytes: Largest sum of sizes.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Hashable, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def find_or_make(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """The cached value of a key, else the result of ``make``, which is cached.

        Two concurrent requests may both compute it: that costs less than waiting for each other.
        """
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
                return found
        made = make()
        with self._lock:
            self._bytes += len(made) - len(self._entries.pop(key, b""))
            self._entries[key] = made
            while self._bytes > self._max_bytes:
                _, dropped = self._entries.popitem(last=False)
                self._bytes -= len(dropped)
        return made

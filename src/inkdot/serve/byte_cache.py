"""Encoded images that were asked for lately, in bounded memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable


class ByteCache:
    """Least recently used pieces go first when there is no room; may be used from several threads.

    Args:
        most_bytes: Sum of the sizes of what is kept.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def bytes_kept(self) -> int:
        """Sum of the sizes of what is kept now."""
        return self._bytes

    def find_or_make(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """What is kept under a key, else what ``make`` gives, kept from now on.

        Two who ask for the same at once may both make it: that costs less than one waiting on the other's slide.
        """
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        made = make()
        with self._lock:
            self._bytes += len(made) - len(self._kept.pop(key, b""))
            self._kept[key] = made
            while self._bytes > self._most_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= len(dropped)
        return made

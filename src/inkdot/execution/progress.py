"""Whether a process makes progress: heartbeats, processor time and bytes read, not seconds on the clock.

A machine that is busy with other programs makes a sound slide slow: its process gets little processor time, and is waited for.
"""

import time
from typing import Final

import psutil

from inkdot.storage.disk import readable_bytes

LEAST_CPU_FRACTION: Final = 0.01
"""Of the time limit. A process that used less has not computed: threads that wait wake up now and then."""

_LONGEST_STEP_S: Final = 5.0
"""Longer pauses between two looks do not count in full: this process itself, and so perhaps the other, was suspended."""


class Progress:
    """Progress of one process since its last heartbeat.

    Args:
        pid: The process.
    """

    def __init__(self, pid: int) -> None:
        try:
            self._process: psutil.Process | None = psutil.Process(pid)
        except psutil.Error:  # it has ended already
            self._process = None
        self._heartbeats = 0
        self.restart()

    def restart(self) -> None:
        """Count from now on."""
        self._seen_s = time.monotonic()
        self._waited_s = self._still_s = 0.0
        self._at_heartbeat = self._at_movement = self._used()

    def stalled(self, heartbeats: int, limit_s: float) -> str:
        """Look at the process, at intervals of up to some seconds.

        A slide is stopped where, since its last heartbeat,

        - for ``limit_s`` seconds its process read nothing and used less than :data:`LEAST_CPU_FRACTION` of them as processor
          time; or
        - it used ``limit_s`` seconds of processor time, which a machine without other programs would have needed, too.

        macOS does not count the bytes that a process reads: there a slow disk counts by its processor time alone.

        Args:
            heartbeats: Heartbeats of the process so far.
            limit_s: The time limit in seconds.

        Returns:
            Why it should be stopped, as the end of a message; empty where it should not.
        """
        now, used = time.monotonic(), self._used()
        step = min(now - self._seen_s, _LONGEST_STEP_S)
        self._seen_s = now
        self._waited_s += step
        self._still_s += step
        if heartbeats != self._heartbeats:
            self._heartbeats = heartbeats
            self._waited_s = self._still_s = 0.0
            self._at_heartbeat = self._at_movement = used
            return ""
        cpu_s = used[0] - self._at_movement[0]
        if used[1] > self._at_movement[1] or cpu_s >= LEAST_CPU_FRACTION * limit_s:
            self._still_s = 0.0
            self._at_movement = used
        seen = self._seen(used)
        if self._still_s > limit_s:
            return (
                f"expected pixels, found no progress for {limit_s:g} s ({seen}), and stopped the slide; copy the file again "
                "or check its disk; a slow disk needs a larger --slide-timeout"
            )
        if self._waited_s > limit_s and used[0] - self._at_heartbeat[0] > limit_s:
            return (
                f"expected pixels, found none after {limit_s:g} s of computing ({seen}), and stopped the slide; its decoder "
                "may be caught in a damaged file: export it again; a slow machine needs a larger --slide-timeout"
            )
        return ""

    def _seen(self, used: tuple[float, int]) -> str:
        cpu_s = used[0] - self._at_heartbeat[0]
        read = readable_bytes(used[1] - self._at_heartbeat[1])
        return f"{cpu_s:.1f} s of processor time and {read} read in {self._waited_s:.0f} s"

    def _used(self) -> tuple[float, int]:
        """Processor time in seconds, and bytes read (0 where the system does not count them)."""
        if self._process is None:
            return 0.0, 0
        try:
            times = self._process.cpu_times()
            cpu_s = times.user + times.system
        except psutil.Error:  # it has ended, which its pipe tells
            return 0.0, 0
        try:
            counters = self._process.io_counters()  # macOS: AttributeError
        except (psutil.Error, AttributeError, OSError):
            return cpu_s, 0
        # Linux counts what was read from the system's cache as characters alone; Windows has one number.
        return cpu_s, int(max(counters.read_bytes, getattr(counters, "read_chars", 0)))

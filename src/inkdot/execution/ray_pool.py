"""Slides as tasks on a Ray cluster. The only file that knows Ray.

Files are written by the tasks, on storage that all machines share; the ledger by the machine that asked, which holds
the folder's lock. A task that runs twice, because its machine died after writing and before saying so, finds its
first result and keeps it: nothing is done twice.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# Ray is only partly typed.

import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from inkdot.errors import UserError
from inkdot.execution.process_pool import WorkerPool
from inkdot.execution.ray_settings import Cluster
from inkdot.execution.task import SlideReport, SlideTask, attempt
from inkdot.records import SlideEntry

_SLIDES_A_CORE: Final = 2
"""In flight: one is worked on, one waits so that no core idles. All the others stay here, not in Ray's memory."""
_LOOK_S: Final = 2.0
"""How often the size of the cluster is looked at, which may grow and shrink while work goes on."""
_KNOCK_S: Final = 10.0
"""How long the first machine may take to accept a connection."""


class RayPool:
    """Work on a Ray cluster, one task per slide.

    A task whose machine or process dies is tried again elsewhere; one that says why it failed is not.
    """

    def __init__(self, cluster: Cluster, gpus_per_slide: float, slide_timeout_s: float | None) -> None:
        """Join the cluster.

        Args:
            cluster: Where, and what each slide takes.
            gpus_per_slide: Part of a GPU for each slide.
            slide_timeout_s: A slide on which nothing moves for so many seconds is stopped.

        Raises:
            UserError: Ray is not installed, or there is no cluster at the address.
        """
        self._ray = _joined(cluster.address)
        self._slide_timeout_s = slide_timeout_s
        self._cluster, self._gpus_per_slide = cluster, gpus_per_slide

    def reports(self, entries: Sequence[SlideEntry], task: SlideTask) -> Iterator[SlideReport]:
        """What becomes of each slide, as it comes; few are in flight at a time.

        Raises:
            UserError: No machine of the cluster has what a slide takes.
        """
        self._check_room()
        work = self._ray.remote(_work_on).options(
            num_cpus=self._cluster.cpus_per_slide,
            num_gpus=self._gpus_per_slide,
            max_retries=self._cluster.retries,
            name="inkdot slide",
        )
        common = self._ray.put((task, self._slide_timeout_s))
        waiting = iter([_from_anywhere(entry) for entry in entries])
        running: dict[Any, SlideEntry] = {}
        try:
            while True:
                while len(running) < self._slides_in_flight():
                    entry = next(waiting, None)
                    if entry is None:
                        break
                    running[work.remote(common, entry)] = entry
                if not running:
                    return
                ready, _ = self._ray.wait(list(running), num_returns=1, timeout=_LOOK_S)
                for reference in ready:
                    yield self._report(reference, running.pop(reference))
        finally:
            for reference in running:  # the user interrupted
                self._ray.cancel(reference, force=True)

    def close(self) -> None:
        """Nothing: the cluster is not ours to stop, and a local one ends with this process."""

    def _report(self, reference: Any, entry: SlideEntry) -> SlideReport:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:  # such as a machine with another version of Inkdot
            last = str(error).strip().splitlines()[-1]
            return SlideReport(entry.slide_id, "failed", reason=f"unexpected on the cluster: {last}")
        except self._ray.exceptions.RayError as error:
            reason = " ".join(str(error).split())[:300]
            tries = self._cluster.retries + 1
            return SlideReport(
                entry.slide_id,
                "failed",
                reason=f"its process or machine died {tries} times (killed for want of memory, a fault in a decoder, or "
                f"machines that went away); Ray says: {reason}",
            )

    def _slides_in_flight(self) -> int:
        total = self._ray.cluster_resources()
        at_once = total.get("CPU", 0.0) / max(self._cluster.cpus_per_slide, 0.01)
        if self._gpus_per_slide:
            at_once = min(at_once, total.get("GPU", 0.0) / self._gpus_per_slide)
        return max(1, int(at_once)) * _SLIDES_A_CORE

    def _check_room(self) -> None:
        """Ray waits for ever for what no machine has; people should be told instead."""
        wanted = {"CPU": self._cluster.cpus_per_slide, "GPU": self._gpus_per_slide}
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(all(node.get(name, 0.0) >= count for name, count in wanted.items()) for node in nodes):
            return
        found = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes)
        raise UserError(
            f"--engine ray: expected a machine with {wanted['CPU']:g} CPUs and {wanted['GPU']:g} GPUs for a slide, "
            f"found {found or 'none'}; change --cpus-per-slide or --gpus-per-slide"
        )


def _from_anywhere(entry: SlideEntry) -> SlideEntry:
    """The entry for a process that works in another folder."""
    annotation = entry.annotation.absolute() if entry.annotation else None
    return replace(entry, path=entry.path.absolute(), annotation=annotation)


def _joined(address: str) -> Any:
    # Ray reports how it is used to its makers unless told not to; nothing here may leave the laboratory.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray as library
    except ImportError:
        raise UserError(
            "--engine ray: expected the package ray, found none; pip install 'inkdot[ray]', or use --engine local"
        ) from None
    ray: Any = library
    if ray.is_initialized():
        return ray
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"--engine ray: expected a Ray cluster at {address!r}, found none ({reason}); start one with "
            "`ray start --head`, or name its --ray-address, or give `local` for this machine alone"
        ) from None
    return ray


def _knock(address: str) -> None:
    """Ask whether anybody listens at an address with a port: Ray itself goes on asking for minutes.

    Raises:
        OSError: Nobody does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()


def _work_on(common: tuple[SlideTask, float | None], entry: SlideEntry) -> SlideReport:
    """What runs on the cluster. With a time limit, in a process beside Ray's own that can be ended."""
    task, slide_timeout_s = common
    if slide_timeout_s is None:
        return attempt(task, entry)
    crew = _crew(slide_timeout_s, os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    (report,) = crew.reports([entry], task)
    return report


@lru_cache(maxsize=1)
def _crew(slide_timeout_s: float, devices: str) -> WorkerPool:
    """One process that outlives its slides; another where Ray lends another GPU."""
    return WorkerPool(1, slide_timeout_s)

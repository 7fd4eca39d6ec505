"""Slides as tasks on a Ray cluster. The only module that imports Ray.

Tasks write their files to storage that all machines share. The ledger is written by the machine that started the run
and holds the folder's lock. A task that is run twice, because its machine died after writing, reuses its first result.
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
from inkdot.execution.ray_settings import RaySettings
from inkdot.execution.task import SlideTask, TaskResult, run_task
from inkdot.records import SlideEntry

_SLIDES_A_CORE: Final = 2
"""Tasks in flight: one runs, one waits so that no core idles. The others stay here, not in Ray's memory."""
_POLL_S: Final = 2.0
"""How often the size of the cluster is checked, which may change during a run."""
_CONNECT_TIMEOUT_S: Final = 10.0
"""Seconds that the head node may take to accept a connection."""


class RayPool:
    """Executor on a Ray cluster, one task per slide.

    A task whose machine or process dies is retried elsewhere; one that fails with an error is not.
    """

    def __init__(self, settings: RaySettings, gpus_per_slide: float, slide_timeout_s: float | None) -> None:
        """Join the cluster.

        Args:
            settings: Address, and resources per slide.
            gpus_per_slide: Fraction of a GPU for each slide in this stage.
            slide_timeout_s: Seconds without a heartbeat after which a slide is stopped; None waits for ever.

        Raises:
            UserError: Ray is not installed, or there is no cluster at the address.
        """
        self._ray = _connect(settings.address)
        self._slide_timeout_s = slide_timeout_s
        self._settings, self._gpus_per_slide = settings, gpus_per_slide

    def run(self, entries: Sequence[SlideEntry], task: SlideTask) -> Iterator[TaskResult]:
        """Run a task on every slide; results in the order of completion. Few are in flight at a time.

        Raises:
            UserError: No machine of the cluster has the resources of a slide.
        """
        self._check_resources()
        remote_task = self._ray.remote(_run_remotely).options(
            num_cpus=self._settings.cpus_per_slide,
            num_gpus=self._gpus_per_slide,
            max_retries=self._settings.retries,
            name="inkdot slide",
        )
        shared = self._ray.put((task, self._slide_timeout_s))
        waiting = iter([_with_absolute_paths(entry) for entry in entries])
        running: dict[Any, SlideEntry] = {}
        try:
            while True:
                while len(running) < self._slides_in_flight():
                    entry = next(waiting, None)
                    if entry is None:
                        break
                    running[remote_task.remote(shared, entry)] = entry
                if not running:
                    return
                ready, _ = self._ray.wait(list(running), num_returns=1, timeout=_POLL_S)
                for reference in ready:
                    yield self._result(reference, running.pop(reference))
        finally:
            for reference in running:  # the user interrupted
                self._ray.cancel(reference, force=True)

    def close(self) -> None:
        """Do nothing: the cluster belongs to others, and a local one ends with this process."""

    def _result(self, reference: Any, entry: SlideEntry) -> TaskResult:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:  # such as a machine with another version of Inkdot
            last = str(error).strip().splitlines()[-1]
            return TaskResult(entry.slide_id, "failed", reason=f"unexpected on the cluster: {last}")
        except self._ray.exceptions.RayError as error:
            reason = " ".join(str(error).split())[:300]
            tries = self._settings.retries + 1
            return TaskResult(
                entry.slide_id,
                "failed",
                reason=f"its process or machine died {tries} times (out of memory, a fault in a decoder, or a "
                f"machine that left the cluster); Ray reports: {reason}",
            )

    def _slides_in_flight(self) -> int:
        total = self._ray.cluster_resources()
        at_once = total.get("CPU", 0.0) / max(self._settings.cpus_per_slide, 0.01)
        if self._gpus_per_slide:
            at_once = min(at_once, total.get("GPU", 0.0) / self._gpus_per_slide)
        return max(1, int(at_once)) * _SLIDES_A_CORE

    def _check_resources(self) -> None:
        """Fail at once where no machine is large enough: Ray itself would wait for ever."""
        required = {"CPU": self._settings.cpus_per_slide, "GPU": self._gpus_per_slide}
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(all(node.get(name, 0.0) >= count for name, count in required.items()) for node in nodes):
            return
        found = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes)
        raise UserError(
            f"--engine ray: expected a machine with {required['CPU']:g} CPUs and {required['GPU']:g} GPUs per slide, "
            f"found {found or 'none'}; change --cpus-per-slide or --gpus-per-slide"
        )


def _with_absolute_paths(entry: SlideEntry) -> SlideEntry:
    """The entry for a process with another current folder."""
    annotation = entry.annotation.absolute() if entry.annotation else None
    return replace(entry, path=entry.path.absolute(), annotation=annotation)


def _connect(address: str) -> Any:
    # Ray sends usage statistics by default; nothing may leave the laboratory.
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
        _check_address(address)
        ray.init(address=address, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"--engine ray: expected a Ray cluster at {address!r}, found none ({reason}); start one with "
            "`ray start --head`, or name its --ray-address, or give `local` for this machine alone"
        ) from None
    return ray


def _check_address(address: str) -> None:
    """Check that something listens at an address with a port: Ray itself retries for minutes.

    Raises:
        OSError: Nothing does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT_S).close()


def _run_remotely(shared: tuple[SlideTask, float | None], entry: SlideEntry) -> TaskResult:
    """Run on the cluster; with a time limit, in a child process that can be killed."""
    task, slide_timeout_s = shared
    if slide_timeout_s is None:
        return run_task(task, entry)
    pool = _worker_pool(slide_timeout_s, os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    (result,) = pool.run([entry], task)
    return result


@lru_cache(maxsize=1)
def _worker_pool(slide_timeout_s: float, devices: str) -> WorkerPool:
    """One process, kept between slides; another where Ray assigns another GPU."""
    return WorkerPool(1, slide_timeout_s)

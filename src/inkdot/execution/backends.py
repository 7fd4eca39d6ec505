"""Choosing where slides are processed: on this machine, or on a Ray cluster. Ray is imported only on request."""

from dataclasses import dataclass

from inkdot.execution.process_pool import ProcessPool
from inkdot.execution.ray_settings import RaySettings
from inkdot.execution.runner import Executor


@dataclass(frozen=True, slots=True)
class ExecutionSettings:
    """Where slides are processed.

    Attributes:
        workers: Processes on this machine; unused with Ray.
        slide_timeout_s: Seconds without a heartbeat after which a slide is stopped and fails; None waits for ever.
        ray: A Ray cluster; None for this machine.
    """

    workers: int = 1
    slide_timeout_s: float | None = None
    ray: RaySettings | None = None


def choose_executor(settings: ExecutionSettings, *, gpu: bool = False) -> Executor:
    """Make the executor of one stage.

    Args:
        settings: Where to run.
        gpu: The stage loads a network: one process on this machine, a share of a GPU on a cluster.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """
    if settings.ray is None:
        return ProcessPool(1 if gpu else settings.workers, settings.slide_timeout_s)
    from inkdot.execution.ray_pool import RayPool

    gpus = settings.ray.gpus_per_slide if gpu else 0.0
    return RayPool(settings.ray, gpus, settings.slide_timeout_s)

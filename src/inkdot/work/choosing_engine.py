"""Where slides are worked on: on this machine, or on a Ray cluster, which is loaded only when asked for."""

from dataclasses import dataclass

from inkdot.work.engine import Engine
from inkdot.work.processes import LocalEngine


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster, and what each slide takes of it.

    Attributes:
        address: ``auto`` for the one this machine belongs to, ``local`` for one on this machine alone, else ``ray://HOST:PORT``
            or ``HOST:PORT``.
        cpus_per_slide: Cores that a slide takes.
        gpus_per_slide: Part of a GPU that scoring a slide takes; 0 scores on CPUs.
        retries: How often a slide is tried again when its machine or process dies.
    """

    address: str = "auto"
    cpus_per_slide: float = 1.0
    gpus_per_slide: float = 0.0
    retries: int = 3


def choose_engine(
    *, workers: int, slide_timeout_s: float | None, cluster: Cluster | None, gpu: bool = False
) -> Engine:
    """The engine for one stage.

    Args:
        workers: Processes on this machine.
        slide_timeout_s: A slide on which nothing moves for so many seconds is stopped.
        cluster: Where not on this machine.
        gpu: The stage uses a GPU where there is one.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """
    if cluster is None:
        return LocalEngine(workers, slide_timeout_s)
    from inkdot.work.ray_engine import RayEngine

    return RayEngine(cluster, cluster.gpus_per_slide if gpu else 0.0, slide_timeout_s)

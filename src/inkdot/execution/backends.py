"""Where slides are worked on: on this machine, or on a Ray cluster, which is loaded only when asked for."""

from inkdot.execution.process_pool import LocalEngine
from inkdot.execution.ray_settings import Cluster
from inkdot.execution.runner import Engine


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
    from inkdot.execution.ray_pool import RayEngine

    return RayEngine(cluster, cluster.gpus_per_slide if gpu else 0.0, slide_timeout_s)

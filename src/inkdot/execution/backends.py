"""Where slides are worked on: on this machine, or on a Ray cluster, which is loaded only when asked for."""

from inkdot.execution.process_pool import ProcessPool
from inkdot.execution.ray_settings import Cluster
from inkdot.execution.runner import Executor


def choose_executor(
    *, workers: int, slide_timeout_s: float | None, cluster: Cluster | None, gpu: bool = False
) -> Executor:
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
        return ProcessPool(workers, slide_timeout_s)
    from inkdot.execution.ray_pool import RayPool

    return RayPool(cluster, cluster.gpus_per_slide if gpu else 0.0, slide_timeout_s)

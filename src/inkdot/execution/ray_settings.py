"""Where a Ray cluster is, and what each slide takes of it."""

from dataclasses import dataclass


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

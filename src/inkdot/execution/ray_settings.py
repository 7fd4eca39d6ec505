"""Address of a Ray cluster and the resources per slide, without importing Ray."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RaySettings:
    """A Ray cluster and the resources per slide.

    Attributes:
        address: ``auto`` for the one this machine belongs to, ``local`` for one on this machine alone, else ``ray://HOST:PORT``
            or ``HOST:PORT``.
        cpus_per_slide: Cores reserved for a slide.
        gpus_per_slide: Fraction of a GPU reserved for scoring a slide; 0 scores on CPUs.
        retries: How often a slide is retried when its machine or process dies.
    """

    address: str = "auto"
    cpus_per_slide: float = 1.0
    gpus_per_slide: float = 0.0
    retries: int = 3

"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Slides = Annotated[
    Path, typer.Argument(metavar="SLIDES", help="A slides.csv, a slide, or a folder of slides.")
]
ConfigPath = Annotated[
    Path, typer.Option("--config", help="Settings as YAML, such as configs/thinprep.yaml.")
]
Workers = Annotated[int, typer.Option(min=1, max=256, help="Processes that read slides.")]
Mpp = Annotated[
    float | None, typer.Option(help="Micrometres per pixel of every slide, instead of what the files state.")
]
Stain = Annotated[str | None, typer.Option(help="Stain of every slide: pap, he, mgg and so on.")]
Preparation = Annotated[
    str | None, typer.Option(help="Preparation of every slide: thinprep, cytospin, section or smear.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done with each slide; write nothing.")
]
RetryFailed = Annotated[
    bool,
    typer.Option("--retry-failed", help="Work only on slides that an earlier run did not finish."),
]
SlideTimeout = Annotated[
    float,
    typer.Option(
        "--slide-timeout", min=0, help="Stop a slide on which nothing moves for so many seconds; 0: never."
    ),
]
EngineName = Annotated[
    Literal["local", "ray"], typer.Option("--engine", help="Work on this machine, or on a Ray cluster.")
]
RayAddress = Annotated[
    str,
    typer.Option(help="Ray: auto (the cluster this machine is in), local, HOST:PORT or ray://HOST:PORT."),
]
CpusPerSlide = Annotated[float, typer.Option(min=0.1, help="Ray: cores that a slide takes.")]
GpusPerSlide = Annotated[float, typer.Option(min=0, help="Ray: part of a GPU that scoring a slide takes.")]


def seconds_or_never(timeout: float) -> float | None:
    """What --slide-timeout means."""
    return timeout or None

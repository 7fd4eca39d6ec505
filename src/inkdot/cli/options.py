"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

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

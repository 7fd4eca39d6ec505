"""Options that several commands share, and options of earlier versions."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from inkdot.errors import UserError, renamed_message

if TYPE_CHECKING:
    from inkdot.config import Config
    from inkdot.pipeline.batch_settings import BatchSettings, SlideOverrides

Slides = Annotated[
    Path, typer.Argument(metavar="SLIDES", help="A slides.csv, a slide, or a folder of slides.")
]
ConfigPath = Annotated[
    Path, typer.Option("--config", help="Config file (YAML), such as configs/thinprep.yaml.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a value of the config, such as tiling.mpp=0.5; repeatable. The value is YAML.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to standard output in place of text.")]
ModelPath = Annotated[Path, typer.Option("--model", help="A model folder, such as RUN/model.")]
Workers = Annotated[int, typer.Option(min=1, max=256, help="Number of processes that read slides.")]
Mpp = Annotated[
    float | None, typer.Option(help="Micrometres per pixel of every slide; replaces what the files state.")
]
Stain = Annotated[str | None, typer.Option(help="Stain of every slide, such as pap, he or mgg.")]
Preparation = Annotated[
    str | None, typer.Option(help="Preparation of every slide: thinprep, cytospin, section or smear.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be done with each slide; write nothing.")
]
RetryFailed = Annotated[
    bool,
    typer.Option("--retry-failed", help="Process only slides that an earlier run did not finish."),
]
SlideTimeout = Annotated[
    float,
    typer.Option(
        "--slide-timeout", min=0, help="Stop a slide after this many seconds without progress; 0: never."
    ),
]
ShardOption = Annotated[
    str,
    typer.Option(
        "--shard",
        metavar="i/n",
        help="Process part i of n of the list, beside other processes with the same --out. In a SLURM job array each task "
        "takes its own part; 1/1: the whole list.",
    ),
]
EngineName = Annotated[
    Literal["local", "ray"], typer.Option("--engine", help="Run on this machine, or on a Ray cluster.")
]
RayAddress = Annotated[
    str,
    typer.Option(
        help="Ray: auto (the cluster this machine belongs to), local, HOST:PORT or ray://HOST:PORT."
    ),
]
CpusPerSlide = Annotated[float, typer.Option(min=0.1, help="Ray: CPU cores per slide.")]
GpusPerSlide = Annotated[float, typer.Option(min=0, help="Ray: fraction of a GPU for scoring a slide.")]

RENAMED_OPTIONS: Final = {
    "predict": {"--pictures": "--slide-images", "--no-pictures": "--no-slide-images"},
    "review serve": {"--answers": "--verdicts", "--ask": "--query-list"},
    "review next": {"--answered": "--reviewed"},
}
"""By command: options of earlier versions, and what they are called now."""


def renamed_options(words: Sequence[str]) -> str | None:
    """Name the new option where a command line uses one of an earlier version.

    Args:
        words: The command line without the program's name.

    Returns:
        One line for the terminal; None where every option is of this version, or unknown.
    """
    for command, renames in RENAMED_OPTIONS.items():
        names = command.split()
        if list(words[: len(names)]) != names:
            continue
        given = dict.fromkeys(word.partition("=")[0] for word in words[len(names) :])
        found = [(old, renames[old]) for old in given if old in renames]
        if found:
            return f"inkdot {command}: {renamed_message(found)}"
    return None


def config_of(path: Path | None, changes: Sequence[str] | None) -> "Config | None":
    """The config of a command where it is optional; None where no file was given.

    Raises:
        UserError: Changes without a config file.
    """
    from inkdot.config import load_config

    if path is not None:
        return load_config(path, changes or ())
    if changes:
        raise UserError(
            f"--set: expected --config, whose values it replaces, found none; name a config file (`inkdot init` writes one), "
            f"or leave out --set {changes[0]}"
        )
    return None


def slides_or_images(slides: Path | None, images: Path | None) -> tuple[Path, bool]:
    """Take the one table that was given, and whether it is one of images.

    Raises:
        UserError: Both were given, or neither.
    """
    if slides is not None and images is None:
        return slides, False
    if images is not None and slides is None:
        return images, True
    raise UserError("expected either --slides or --images, found " + ("both" if slides else "neither"))


def batch_settings(
    overrides: "SlideOverrides",
    *,
    workers: int,
    slide_timeout: float,
    engine: Literal["local", "ray"],
    ray_address: str,
    cpus_per_slide: float,
    gpus_per_slide: float = 0.0,
    retry_failed: bool,
    dry_run: bool,
    shard: str,
) -> "BatchSettings":
    """Turn the options of a batch command into settings; a timeout of 0 is none."""
    from inkdot.execution.backends import ExecutionSettings
    from inkdot.execution.ray_settings import RaySettings
    from inkdot.pipeline.batch_settings import BatchSettings
    from inkdot.pipeline.shards import Shard

    ray = RaySettings(ray_address, cpus_per_slide, gpus_per_slide) if engine == "ray" else None
    return BatchSettings(
        overrides=overrides,
        execution=ExecutionSettings(workers, slide_timeout or None, ray),
        retry_failed=retry_failed,
        dry_run=dry_run,
        shard=Shard.parse(shard) if shard else Shard.of_job_array(os.environ),
    )

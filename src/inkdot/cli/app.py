"""Every command. Stages are imported when their command runs, so that ``--help`` answers at once."""

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from inkdot import __version__
from inkdot.cli.model import model as model_commands
from inkdot.cli.options import (
    ConfigPath,
    CpusPerSlide,
    DryRun,
    EngineName,
    GpusPerSlide,
    Mpp,
    Preparation,
    RayAddress,
    RetryFailed,
    Slides,
    SlideTimeout,
    Stain,
    Workers,
    seconds_or_never,
)
from inkdot.cli.review import review
from inkdot.errors import SlideError, UserError

app = typer.Typer(
    name="inkdot",
    help="Finds and ranks suspicious regions on cytology and histology slides. Research use only: it flags, people diagnose.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(review, name="review")
app.add_typer(model_commands, name="model")

_HEAD_START_S: Final = 20.0
_INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells give it."""


def _version(value: bool) -> None:
    if value:
        typer.echo(f"inkdot {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the program as a whole."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer slides and epochs: shows the line, not the quality.")
    ] = False,
) -> None:
    """Walk the whole line on synthetic slides: synth, tile, train, predict, review export."""
    from inkdot.cli.demo import run

    raise typer.Exit(run(out, quick=quick))


@app.command()
def init(
    out: Annotated[Path, typer.Option(help="The file to write; an existing one is never replaced.")] = Path(
        "config.yaml"
    ),
    preparation: Annotated[str, typer.Option(help="thinprep, cytospin, section or smear.")] = "thinprep",
) -> None:
    """Write a config with every setting explained."""
    from inkdot.manifest import known_preparation
    from inkdot.stages import init as stage

    raise typer.Exit(stage.run(out, preparation=known_preparation(preparation)))


@app.command()
def doctor(
    slides: Slides,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings the slides would be tiled with.")
    ] = None,
    mpp: Mpp = None,
    stain: Stain = None,
    preparation: Preparation = None,
) -> None:
    """Open every slide and say what would fail later, and why; nothing is written."""
    from inkdot.config import default_config, load_config
    from inkdot.manifest import known_preparation
    from inkdot.stages import doctor as stage

    settings = load_config(config) if config else default_config(known_preparation(preparation or "thinprep"))
    raise typer.Exit(stage.run(slides, settings, mpp=mpp, stain=stain, preparation=preparation))


@app.command()
def synth(
    preset: Annotated[str, typer.Option(help="What to make, e.g. normal, lm-typical, demo-training.")],
    slides: Annotated[int, typer.Option(min=1, help="How many slides.")],
    out: Annotated[Path, typer.Option(help="Folder for slides, slides.csv, labels.csv and truth.")],
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 0,
    spot_mm: Annotated[
        float | None,
        typer.Option(help="Diameter of the cell spot in mm; small spots make big cohorts cheap."),
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(help="Micrometres per pixel; the preset's own where not given.")
    ] = None,
    planes: Annotated[int, typer.Option(min=1, help="Focal planes, 1.5 µm apart; an odd number.")] = 1,
) -> None:
    """Make synthetic slides with their truth."""
    from inkdot.stages import synth as stage

    raise typer.Exit(stage.run(preset, slides, seed, out, spot_mm=spot_mm, mpp=mpp, planes=planes))


@app.command()
def tile(
    slides: Slides,
    config: ConfigPath,
    out: Annotated[Path, typer.Option(help="Run folder: tiles, masks, ledger.")],
    workers: Workers = 2,
    slide_timeout: SlideTimeout = 600,
    engine: EngineName = "local",
    ray_address: RayAddress = "auto",
    cpus_per_slide: CpusPerSlide = 1,
    retry_failed: RetryFailed = False,
    dry_run: DryRun = False,
    mpp: Mpp = None,
    stain: Stain = None,
    preparation: Preparation = None,
) -> None:
    """Find the foreground of slides and cut it into tiles."""
    from inkdot.config import load_config
    from inkdot.execution.ray_settings import Cluster
    from inkdot.stages import tile as stage

    cluster = Cluster(ray_address, cpus_per_slide) if engine == "ray" else None

    raise typer.Exit(
        stage.run(
            slides,
            load_config(config),
            out,
            workers=workers,
            slide_timeout_s=seconds_or_never(slide_timeout),
            cluster=cluster,
            retry_failed=retry_failed,
            dry_run=dry_run,
            mpp=mpp,
            stain=stain,
            preparation=preparation,
        )
    )


@app.command()
def train(
    config: ConfigPath,
    out: Annotated[Path, typer.Option(help="Run folder; the model is OUT/model.")],
    slides: Annotated[Path | None, typer.Option(help="A slides.csv with labels or annotations.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Instead of slides: an images.csv of labelled images.")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Cross-validate with so many models instead of making one."),
    ] = None,
    workers: Workers = 2,
    dry_run: DryRun = False,
) -> None:
    """Train a model on labelled slides, or on labelled images."""
    from inkdot.config import load_config
    from inkdot.errors import UserError
    from inkdot.stages import train as stage

    if images is not None and slides is None:
        raise typer.Exit(stage.run_images(load_config(config), images, out, folds=folds, dry_run=dry_run))
    if slides is None or images is not None:
        raise UserError("expected either --slides or --images, found " + ("both" if slides else "neither"))
    raise typer.Exit(
        stage.run(load_config(config), slides, out, workers=workers, folds=folds, dry_run=dry_run)
    )


@app.command()
def evaluate(
    model: Annotated[Path, typer.Option(help="A model folder, such as RUN/model.")],
    out: Annotated[Path, typer.Option(help="Output folder: evaluation.html and evaluation.json.")],
    slides: Annotated[
        Path | None,
        typer.Option(help="A slides.csv with answers; of one with a column split, the test slides."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Instead of slides: an images.csv of labelled images.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", help="What annotations mean, or how columns of images.csv are called, where needed."
        ),
    ] = None,
    allow_synthetic_model: Annotated[
        bool,
        typer.Option(
            "--allow-synthetic-model",
            help="Let a model trained on synthetic slides judge real ones (meaningless metrics).",
        ),
    ] = False,
    workers: Workers = 2,
) -> None:
    """Judge a model on labelled slides or images that it never saw; every metric has its interval."""
    from inkdot.config import load_config
    from inkdot.stages import evaluate as stage

    settings = load_config(config) if config else None
    if images is not None and slides is None:
        raise typer.Exit(
            stage.run_images(model, images, out, config=settings, allow_synthetic_model=allow_synthetic_model)
        )
    if slides is None or images is not None:
        raise UserError("expected either --slides or --images, found " + ("both" if slides else "neither"))
    raise typer.Exit(
        stage.run(
            model,
            slides,
            out,
            config=settings,
            workers=workers,
            allow_synthetic_model=allow_synthetic_model,
        )
    )


@app.command()
def predict(
    slides: Annotated[
        list[Path],
        typer.Argument(metavar="SLIDES...", help="slides.csv files, slides, or folders of slides."),
    ],
    model: Annotated[Path, typer.Option(help="A model folder, such as RUN/model.")],
    out: Annotated[Path, typer.Option(help="Results folder; a rerun keeps what still fits.")],
    mpp: Mpp = None,
    stain: Stain = None,
    preparation: Preparation = None,
    allow_synthetic_model: Annotated[
        bool,
        typer.Option(
            "--allow-synthetic-model",
            help="Let a model trained on synthetic slides score real ones (meaningless scores).",
        ),
    ] = False,
    allow_unknown_scale: Annotated[
        bool,
        typer.Option(
            "--allow-unknown-scale",
            help="Let a model trained on images of unknown scale score slides.",
        ),
    ] = False,
    runtime: Annotated[
        Literal["auto", "torch", "openvino"],
        typer.Option(help="What the network runs in; auto takes OpenVINO on a CPU where it is installed."),
    ] = "auto",
    embeddings: Annotated[
        bool,
        typer.Option("--embeddings", help="Keep what the network saw of each tile: OUT/embeddings."),
    ] = False,
    workers: Workers = 2,
    slide_timeout: SlideTimeout = 600,
    engine: EngineName = "local",
    ray_address: RayAddress = "auto",
    cpus_per_slide: CpusPerSlide = 1,
    gpus_per_slide: GpusPerSlide = 0,
    images: Annotated[
        bool, typer.Option(help="Draw each slide's overview and heat map, or leave them out.")
    ] = True,
    retry_failed: RetryFailed = False,
    dry_run: DryRun = False,
) -> None:
    """Score new slides; one bad slide never stops the others."""
    from inkdot.execution.ray_settings import Cluster
    from inkdot.stages import predict as stage

    cluster = Cluster(ray_address, cpus_per_slide, gpus_per_slide) if engine == "ray" else None

    raise typer.Exit(
        stage.run(
            slides,
            model,
            out,
            mpp=mpp,
            stain=stain,
            preparation=preparation,
            allow_synthetic_model=allow_synthetic_model,
            allow_unknown_scale=allow_unknown_scale,
            runtime=runtime,
            embeddings=embeddings,
            workers=workers,
            slide_timeout_s=seconds_or_never(slide_timeout),
            cluster=cluster,
            images=images,
            retry_failed=retry_failed,
            dry_run=dry_run,
        )
    )


def main() -> None:
    """Run the command line; wrong input is one line on stderr and exit code 2, never a traceback.

    Ctrl-C ends with 130, and says how to go on.
    """
    # albumentations asks a server for its newest version at import; nothing here may need a network.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    try:
        app()
    except UserError as error:
        _let_the_first_speak()
        typer.echo(f"inkdot: {_one_line(str(error))}", err=True)
        sys.exit(2)
    except SlideError as error:
        typer.echo(f"inkdot: {_one_line(str(error))}", err=True)
        sys.exit(1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            typer.echo("inkdot: stopped; the same command goes on where it stopped", err=True)
        raise


def _one_line(text: str) -> str:
    """The text with what a file's name may hold, line ends and a terminal's orders among it, made visible."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _let_the_first_speak() -> None:
    """Of several processes of torchrun the first most often stops for the same reason, which needs saying once.

    It says it, and torchrun ends the others while they wait here. Where it goes on, another one's reason is told after all.
    """
    if os.environ.get("RANK", "0") != "0":
        time.sleep(_HEAD_START_S)


if __name__ == "__main__":
    main()

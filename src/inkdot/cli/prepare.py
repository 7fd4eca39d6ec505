"""The commands before a model: ``demo``, ``init``, ``doctor``, ``synth`` and ``tile``."""

from pathlib import Path
from typing import Annotated

import typer

from inkdot.cli.options import (
    AsJson,
    Changes,
    ConfigPath,
    CpusPerSlide,
    DryRun,
    EngineName,
    Mpp,
    Preparation,
    RayAddress,
    RetryFailed,
    ShardOption,
    Slides,
    SlideTimeout,
    Stain,
    Workers,
    batch_settings,
)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer slides and epochs: shows the workflow, not the quality.")
    ] = False,
) -> None:
    """Run the whole workflow on synthetic slides.

    The steps: synth, tile, train, predict, review export. Each is shown as the command that a person would type.
    """
    from inkdot.cli.demo import run

    raise typer.Exit(run(out, quick=quick))


def init(
    out: Annotated[Path, typer.Option(help="The file to write; an existing one is never replaced.")] = Path(
        "config.yaml"
    ),
    preparation: Annotated[str, typer.Option(help="thinprep, cytospin, section or smear.")] = "thinprep",
) -> None:
    """Write a config file with every key explained."""
    from inkdot.manifest import known_preparation
    from inkdot.stages import init as stage

    raise typer.Exit(stage.run(out, preparation=known_preparation(preparation)))


def doctor(
    slides: Slides,
    config: Annotated[
        Path | None, typer.Option("--config", help="Config file with which the slides would be tiled.")
    ] = None,
    changes: Changes = None,
    mpp: Mpp = None,
    stain: Stain = None,
    preparation: Preparation = None,
    slide_timeout: SlideTimeout = 600,
    cases: Annotated[
        Path | None, typer.Option(help="Table of the cases [default: cases.csv beside slides.csv, if any].")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check slides and this machine; write nothing.

    Opens every slide and reports what would fail later, and why, with which config.
    """
    from inkdot.config import config_from_mapping, load_config
    from inkdot.config.changes import with_changes
    from inkdot.manifest import known_preparation
    from inkdot.pipeline.batch_settings import SlideOverrides
    from inkdot.pipeline.doctor_report import config_words
    from inkdot.stages import doctor as stage

    if config is not None:
        settings = load_config(config, changes or ())
    else:
        assumed = {"preparation": known_preparation(preparation or "thinprep")}
        settings = config_from_mapping(with_changes(assumed, changes or ()), source="--set")
    code = stage.run(
        slides,
        settings,
        SlideOverrides(mpp, stain, preparation),
        config_source=config_words(config, preparation, changes or ()),
        slide_timeout_s=slide_timeout or None,
        cases=cases,
        as_json=as_json,
    )
    raise typer.Exit(code)


def synth(
    preset: Annotated[str, typer.Option(help="What to make, such as normal, lm-typical or demo-training.")],
    slides: Annotated[int, typer.Option(min=1, help="Number of slides.")],
    out: Annotated[Path, typer.Option(help="Folder for slides, slides.csv, labels.csv and the truth.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same one gives the same bytes.")] = 0,
    spot_mm: Annotated[
        float | None,
        typer.Option(help="Diameter of the cell spot in mm; small spots make large cohorts cheap."),
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(help="Micrometres per pixel; the preset's own where not given.")
    ] = None,
    planes: Annotated[int, typer.Option(min=1, help="Focal planes, 1.5 µm apart; an odd number.")] = 1,
) -> None:
    """Make synthetic slides with their ground truth."""
    from inkdot.stages import synth as stage

    raise typer.Exit(stage.run(preset, slides, seed, out, spot_mm=spot_mm, mpp=mpp, planes=planes))


def tile(
    slides: Slides,
    config: ConfigPath,
    out: Annotated[Path, typer.Option(help="Run folder: tiles, masks, ledger.")],
    changes: Changes = None,
    workers: Workers = 2,
    slide_timeout: SlideTimeout = 600,
    engine: EngineName = "local",
    ray_address: RayAddress = "auto",
    cpus_per_slide: CpusPerSlide = 1,
    retry_failed: RetryFailed = False,
    shard: ShardOption = "",
    dry_run: DryRun = False,
    mpp: Mpp = None,
    stain: Stain = None,
    preparation: Preparation = None,
) -> None:
    """Find foreground and clusters; cut slides into tiles."""
    from inkdot.config import load_config
    from inkdot.pipeline.batch_settings import SlideOverrides
    from inkdot.stages import tile as stage

    batch = batch_settings(
        SlideOverrides(mpp, stain, preparation),
        workers=workers,
        slide_timeout=slide_timeout,
        engine=engine,
        ray_address=ray_address,
        cpus_per_slide=cpus_per_slide,
        retry_failed=retry_failed,
        dry_run=dry_run,
        shard=shard,
    )
    raise typer.Exit(stage.run(slides, load_config(config, changes or ()), out, batch))

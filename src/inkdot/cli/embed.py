"""``inkdot embed``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from inkdot.cli.options import (
    Changes,
    CpusPerSlide,
    DryRun,
    EngineName,
    GpusPerSlide,
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
    config_of,
)

_Config = Annotated[
    Path | None,
    typer.Option("--config", help="Config file with which slides are tiled; default: OUT/config.json."),
]
_Encoder = Annotated[
    str,
    typer.Option(
        help="A timm model name, or one of `inkdot encoders`; default: the config's model.backbone.",
        show_default=False,
    ),
]
_Weights = Annotated[
    str,
    typer.Option(
        help="pretrained, imagenet-lite0, or a file of weights; default: pretrained with --encoder, else the config's.",
        show_default=False,
    ),
]
_Model = Annotated[
    Path | None,
    typer.Option(
        "--model", help="A model folder: its backbone is the encoder, its settings place the tiles."
    ),
]
_FromFeatures = Annotated[
    Path | None,
    typer.Option(help="Instead of encoding: a folder of .h5 files of TRIDENT, CLAM or STAMP, one per slide."),
]
_FormatName = Annotated[
    Literal["inkdot", "trident", "clam", "stamp"],
    typer.Option(
        "--format", help="Write the files of this program, too: OUT/trident, OUT/clam or OUT/stamp."
    ),
]
_Runtime = Annotated[
    Literal["auto", "torch", "openvino"],
    typer.Option(help="Runtime of the encoder; auto uses OpenVINO on a CPU where it is installed."),
]
_Dtype = Annotated[
    Literal["float16", "float32"], typer.Option(help="Stored precision; float16 takes half the space.")
]


def embed(
    slides: Slides,
    out: Annotated[Path, typer.Option(help="Run folder: embeddings, tiles, ledger; a rerun resumes.")],
    config: _Config = None,
    changes: Changes = None,
    encoder: _Encoder = "",
    weights: _Weights = "",
    model: _Model = None,
    from_features: _FromFeatures = None,
    format_: _FormatName = "inkdot",
    runtime: _Runtime = "auto",
    dtype: _Dtype = "float16",
    workers: Workers = 2,
    slide_timeout: SlideTimeout = 600,
    engine: EngineName = "local",
    ray_address: RayAddress = "auto",
    cpus_per_slide: CpusPerSlide = 1,
    gpus_per_slide: GpusPerSlide = 0,
    retry_failed: RetryFailed = False,
    shard: ShardOption = "",
    dry_run: DryRun = False,
    mpp: Mpp = None,
    stain: Stain = None,
    preparation: Preparation = None,
) -> None:
    """Embed tiles by a frozen encoder, once for many experiments.

    Writes OUT/embeddings/<slide_id>.h5, which TRIDENT and CLAM read as it is. Time and disk space are printed beforehand.
    """
    from inkdot.pipeline.batch_settings import SlideOverrides
    from inkdot.stages import embed as stage

    settings = stage.EmbedSettings(
        config=config_of(config, changes),
        encoder=encoder,
        weights=weights,
        model=model,
        from_features=from_features,
        runtime=runtime,
        dtype=dtype,
        format_=format_,
    )
    batch = batch_settings(
        SlideOverrides(mpp, stain, preparation),
        workers=workers,
        slide_timeout=slide_timeout,
        engine=engine,
        ray_address=ray_address,
        cpus_per_slide=cpus_per_slide,
        gpus_per_slide=gpus_per_slide,
        retry_failed=retry_failed,
        dry_run=dry_run,
        shard=shard,
    )
    raise typer.Exit(stage.run(slides, out, settings, batch))

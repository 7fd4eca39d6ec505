"""``inkdot predict``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Never

import typer

from inkdot.cli.options import (
    Changes,
    CpusPerSlide,
    DryRun,
    EngineName,
    GpusPerSlide,
    ModelPath,
    Mpp,
    Preparation,
    RayAddress,
    RetryFailed,
    ShardOption,
    SlideTimeout,
    Stain,
    Workers,
    batch_settings,
    config_of,
)
from inkdot.errors import UserError

if TYPE_CHECKING:
    from inkdot.config import Config

_AllowSyntheticModel = Annotated[
    bool,
    typer.Option(
        "--allow-synthetic-model",
        help="Score real slides with a model trained on synthetic ones (meaningless scores).",
    ),
]
_AllowUnknownScale = Annotated[
    bool,
    typer.Option(
        "--allow-unknown-scale", help="Score slides with a model trained on images of unknown scale."
    ),
]
_Images = Annotated[
    Path | None,
    typer.Option(
        help="Instead of slides: a table or folder of images, for a model of images (no labels needed)."
    ),
]
_ImagesConfig = Annotated[
    Path | None, typer.Option("--config", help="With --images: config file with the columns of the table.")
]
_KeepOodCalls = Annotated[
    bool,
    typer.Option(
        "--keep-ood-calls",
        help="Call slides or images unlike those of training, too; by default they are indeterminate.",
    ),
]
_Runtime = Annotated[
    Literal["auto", "torch", "openvino"],
    typer.Option(help="Runtime of the network; auto uses OpenVINO on a CPU where it is installed."),
]
_Embeddings = Annotated[
    bool, typer.Option("--embeddings", help="Write the backbone's features of each tile: OUT/embeddings.")
]
_EmbeddingsFrom = Annotated[
    Path | None,
    typer.Option(
        help="Score the embeddings of this folder (`inkdot embed`, same encoder) instead of pixels."
    ),
]
_CellFinder = Annotated[
    str | None,
    typer.Option(
        metavar="shipped|classical|FOLDER",
        help="What finds nuclei, in place of what the model was trained with; every output then warns.",
    ),
]


def predict(
    model: ModelPath,
    out: Annotated[Path, typer.Option(help="Results folder; a rerun reuses valid results.")],
    slides: Annotated[
        list[Path] | None,
        typer.Argument(metavar="SLIDES...", help="slides.csv files, slides, or folders of slides."),
    ] = None,
    images: _Images = None,
    config: _ImagesConfig = None,
    changes: Changes = None,
    mpp: Mpp = None,
    stain: Stain = None,
    preparation: Preparation = None,
    allow_synthetic_model: _AllowSyntheticModel = False,
    allow_unknown_scale: _AllowUnknownScale = False,
    keep_ood_calls: _KeepOodCalls = False,
    cell_finder: _CellFinder = None,
    runtime: _Runtime = "auto",
    embeddings: _Embeddings = False,
    embeddings_from: _EmbeddingsFrom = None,
    workers: Workers = 2,
    slide_timeout: SlideTimeout = 600,
    engine: EngineName = "local",
    ray_address: RayAddress = "auto",
    cpus_per_slide: CpusPerSlide = 1,
    gpus_per_slide: GpusPerSlide = 0,
    slide_images: Annotated[bool, typer.Option(help="Draw each slide's overview and heat map.")] = True,
    retry_failed: RetryFailed = False,
    shard: ShardOption = "",
    dry_run: DryRun = False,
) -> None:
    """Score new slides; warn of out-of-distribution (OOD) ones.

    Per slide: scores of tiles and clusters, the call (or abstention), warnings, overview and heat map. A slide that cannot
    be used is listed and does not stop the others.
    """
    if images is not None:
        _predict_images(
            slides,
            images,
            model,
            out,
            config_of(config, changes),
            keep_ood_calls=keep_ood_calls,
            allow_synthetic_model=allow_synthetic_model,
            runtime=runtime,
        )
    if not slides:
        raise UserError(
            "expected slides, or --images TABLE, found neither; give slides.csv, slides or a folder"
        )
    from inkdot.pipeline.batch_settings import SlideOverrides
    from inkdot.stages import predict as stage

    settings = stage.PredictSettings(
        allow_synthetic_model=allow_synthetic_model,
        allow_unknown_scale=allow_unknown_scale,
        runtime=runtime,
        embeddings=embeddings,
        embeddings_from=embeddings_from,
        slide_images=slide_images,
        keep_ood_calls=keep_ood_calls,
        cell_finder=cell_finder,
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
    raise typer.Exit(stage.run(slides, model, out, settings, batch))


def _predict_images(
    slides: list[Path] | None,
    images: Path,
    model: Path,
    out: Path,
    config: "Config | None",
    *,
    keep_ood_calls: bool,
    allow_synthetic_model: bool,
    runtime: Literal["auto", "torch", "openvino"],
) -> Never:
    """Score images in place of slides, and end the command."""
    if slides:
        raise UserError("expected slides or --images, found both; give one of them")
    from inkdot.stages import predict_images as stage

    code = stage.run(
        images,
        model,
        out,
        config=config,
        keep_ood_calls=keep_ood_calls,
        allow_synthetic_model=allow_synthetic_model,
        runtime=runtime,
    )
    raise typer.Exit(code)

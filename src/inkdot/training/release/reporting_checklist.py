"""Items of reporting checklists: those that the program records, and those that a person must complete.

After CLAIM 2024, TRIPOD+AI and STARD-AI. What is not recorded is marked as such, never guessed.
"""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from inkdot.config import IMAGENET_LITE0, Aggregator, Config
from inkdot.metrics.intervals.confidence_intervals import Estimate
from inkdot.storage.models.model_files import ModelFile

_FOR_A_PERSON = (
    "Intended use, users and clinical role, and what happens to a slide that is flagged, or not",
    "Where and when the specimens were taken, who was eligible and why, and what was left out before the table was made",
    "The reference standard: who read what, with which other results at hand, and why it counts as the truth",
    "How the slides were de-identified before they came here (Inkdot reads no label and no macro image, and writes no identifier "
    "into the model)",
    "Sample size and why; ethics approval, registration, protocol, funding and interests; involvement of patients",
    "Limitations, and what follows for practice; a test on other patients, and of other laboratories, with `inkdot evaluate`: "
    "its report has calls by truth, subgroups, calibration, abstention and the worst errors as images",
)


_POOLED: Final[dict[Aggregator, str]] = {
    "gated_attention": ", gated attention over the tiles of a slide",
    "clam_sb": ", gated attention over the tiles of a slide with CLAM's clustering loss",
    "mean": ", a slide as the mean of its tiles",
    "max": ", a slide as its highest tile",
    "transmil": ", a transformer of two layers over the tiles of a slide (after TransMIL)",
}


def after_tiles(description: ModelFile) -> bool:
    """Whether slides were trained after tiles, and so at ``training.mil.learning_rate``."""
    return description.attention is not None and description.attention.start in ("tiles", "pseudo-labels")


def training_summary(
    description: ModelFile,
    config: Config,
    parameters: int,
    data_sha256: str,
    optimizer: str,
    device: str,
    *,
    given: bool = False,
) -> list[str]:
    """The training procedure, for the model card.

    Args:
        description: The model.
        config: The whole config.
        parameters: Number of trained parameters.
        data_sha256: Hash of slides, patients, split and settings.
        optimizer: Its learning rates and clipping, in words.
        device: What it was trained on, e.g. ``cpu``.
        given: Whether the split was given by the table, not drawn.
    """
    images = description.trained_on.images
    units = "group" if images else "patient"
    whole = f"whole site, and so whole {units}" if config.training.group_by == "site" else units
    drawn = (
        "given by the table, checked"
        if given
        else f"drawn, a share of {config.training.validation_fraction:g} for validation,"
    )
    training, tiling = config.training, config.tiling
    cut = (
        "the centre of each image"
        if images
        else f"tiles cut by {tiling.mode}; artefacts and what is out of focus left out where assessed"
    )
    named = config.model.weights in ("scratch", "pretrained", IMAGENET_LITE0)
    weights = config.model.weights if named else "a local file"
    normalised = (
        f"scaled to the mean and spread of the training {'images' if images else 'tiles'} per colour channel"
        if weights == "scratch"
        else "scaled per colour channel as the starting weights were trained with"
    )
    augmentation = config.augmentation
    pooled = "" if description.attention is None else _POOLED[description.attention.aggregator]
    steps = (
        f"{training.epochs} epochs, batches of {training.batch_size}, AdamW, {optimizer}; weight decay "
        f"{training.weight_decay:g}, warm-up and cosine, EMA of the weights {training.ema_decay:g}"
    )
    if after_tiles(description) and not config.model.freeze_backbone:
        steps += f"; slides after tiles at a peak learning rate of {training.mil.learning_rate:g}"
    if config.model.freeze_backbone:
        fitted = "the heads by L-BFGS with an L2 penalty (linear probe)"
        steps = f"{fitted}, then {steps}" if description.attention else fitted
        steps = f"backbone frozen, embeddings computed once; {steps}"
    return [
        f"Network: {description.backbone}, {parameters:,} parameters, starting weights {weights}, one linear layer per head"
        f"{pooled}; one network, no ensemble"
        + (f", mean of {description.tta_views} views of a tile (TTA)." if description.tta_views > 1 else "."),
        f"Pixels: {cut}; {normalised}; no stain normalisation.",
        "Augmentation: none, the backbone is frozen."
        if config.model.freeze_backbone
        else f"Augmentation: geometry {'on' if augmentation.geometry else 'off'}, distortion {augmentation.distortion:g}, scale "
        f"{augmentation.scale:g}, colour {augmentation.colour:g}, HED jitter {augmentation.hed_jitter:g}, RandStainNA "
        f"{augmentation.rand_stain_na:g}, exposure {augmentation.exposure:g} and white balance "
        f"{augmentation.white_balance:g} stops, focus {augmentation.focus:g}, JPEG {augmentation.jpeg:g}.",
        f"Training: {steps}, seed {training.seed}, {training.precision}, on {device}. All settings are in the run "
        "folder's config.json.",
        f"Split: {drawn} by {whole}; {units}s and files in two parts are refused. The run folder has the parts in split.csv, "
        f"versions and machine in environment.json; data hash `{data_sha256[:16]}`.",
        "Scores: temperature per head, on validation data. Threshold: highest for the target sensitivity, on validation "
        f"{'images' if images else 'slides'}. Intervals: 95 %, bootstrap over {units}s; where it collapses or counts are "
        "small, Clopper-Pearson.",
        "Unknown labels: not used, never guessed; labels of several readers average into soft targets; atypical and mixed "
        "count half.",
        f"Software: Inkdot {description.inkdot}, Python {platform.python_version()}, PyTorch {version('torch')}, timm "
        f"{version('timm')}.",
    ]


def reader_lines(readers: int, metrics: dict[str, Estimate]) -> list[str]:
    """Number of readers who labelled regions, and their agreement, which bounds the performance to expect.

    Args:
        readers: Number of readers of all labelled regions.
        metrics: Agreement by name, where at least two labelled the same regions.
    """
    if not readers:
        return ["Readers: no region has a named reader; their agreement is not known."]
    if not metrics:
        return [f"Readers: {readers}, never two of the same region; their agreement is not known."]
    return [
        f"Readers: {readers}. Their agreement, {name}: {metric} ({metric.method})."
        for name, metric in metrics.items()
    ]


def open_items() -> Sequence[str]:
    """Items that a person must complete."""
    return [f"{item}: *not recorded*." for item in _FOR_A_PERSON]

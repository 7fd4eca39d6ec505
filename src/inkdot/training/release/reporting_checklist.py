"""What reporting checklists ask of a model: the part that a program knows, and the rest as questions for a person.

After CLAIM 2024, TRIPOD+AI and STARD-AI. What is not recorded is said to be so, never guessed.
"""

import platform
from collections.abc import Sequence
from importlib.metadata import version

from inkdot.config import Config
from inkdot.metrics.confidence_intervals import Estimate
from inkdot.storage.model_files import ModelFile

_FOR_A_PERSON = (
    "Intended use, users and clinical role, and what happens to a slide that is flagged, or not",
    "Where and when the specimens were taken, who was eligible and why, and what was left out before the table was made",
    "The reference standard: who read what, with which other results at hand, and why it is taken for the truth",
    "How the slides were de-identified before they came here (Inkdot reads no label and no macro image, and writes no identifier "
    "into the model)",
    "Sample size and why; ethics approval, registration, protocol, funding and interests; involvement of patients",
    "Limitations, and what follows for practice; a test on other patients, and of other laboratories, with `inkdot evaluate`: "
    "its report has calls by truth, subgroups, calibration, slides left open and the worst errors as pictures",
)


def making_lines(
    description: ModelFile,
    config: Config,
    parameters: int,
    data_sha256: str,
    device: str,
    *,
    given: bool = False,
) -> list[str]:
    """How the model was made.

    Args:
        description: The model.
        config: The whole config.
        parameters: Numbers that were learnt.
        data_sha256: Hash of slides, patients, split and settings.
        device: What it was trained on, e.g. ``cpu``.
        given: The split was given by the table, not drawn.
    """
    pictures = description.trained_on.pictures
    units = "group" if pictures else "patient"
    whole = f"whole site, and so whole {units}" if config.training.keep_together == "site" else units
    drawn = (
        "as the table gives it, checked"
        if given
        else f"drawn, a share of {config.training.validation_fraction:g} for validation,"
    )
    training, tiling = config.training, config.tiling
    cut = (
        "the centre of each picture"
        if pictures
        else f"tiles cut by {tiling.mode}; artefacts and what is out of focus left out where assessed"
    )
    weights = config.model.weights if config.model.weights in ("scratch", "pretrained") else "a local file"
    varied = config.augmentation
    return [
        f"Network: {description.backbone}, {parameters:,} parameters, starting weights {weights}, one linear layer per question"
        f"{', gated attention over the tiles of a slide' if description.attention else ''}; one network, no ensemble"
        + (f", mean of {description.views} views of a tile." if description.views > 1 else "."),
        f"Pixels: {cut}; scaled to the mean and spread of the training {'pictures' if pictures else 'tiles'} per colour "
        "channel; no stain normalisation.",
        f"Variation in training: geometry {'on' if varied.geometry else 'off'}, distortion {varied.distortion:g}, colour "
        f"{varied.colour:g}, focus {varied.focus:g}, JPEG {varied.jpeg:g}.",
        f"Training: {training.epochs} epochs, batches of {training.batch_size}, AdamW at {training.learning_rate:g} with weight "
        f"decay {training.weight_decay:g}, warm-up and cosine, running mean of the weights {training.average_decay:g}, seed "
        f"{training.seed}, {training.precision}, on {device}. The whole of it is in the run folder's config.json.",
        f"Split: {drawn} by {whole}; {units}s and files that stand on two sides are refused. Who was where is in the run "
        f"folder's split.csv, programs and machine in its environment.json; data hash `{data_sha256[:16]}`.",
        "Scores: temperature per question, on validation data. Threshold: highest for the wanted sensitivity, on validation "
        f"{'pictures' if pictures else 'slides'}. Intervals: 95 %, bootstrap over {units}s; where it collapses or counts are "
        "small, Clopper-Pearson.",
        "Unknown answers: not used, never guessed; answers of several readers average into soft targets; atypical and mixed "
        "count half.",
        f"Software: Inkdot {description.inkdot}, Python {platform.python_version()}, PyTorch {version('torch')}, timm "
        f"{version('timm')}.",
    ]


def reader_lines(readers: int, figures: dict[str, Estimate]) -> list[str]:
    """How many people labelled places, and how far they agree: no model can be expected to be surer.

    Args:
        readers: Different readers of all labelled places.
        figures: Agreement by name, where at least two answered about the same places.
    """
    if not readers:
        return ["Readers: no place was labelled by a named reader; how far people agree is not known."]
    if not figures:
        who = "one labelled" if readers == 1 else f"{readers} labelled"
        return [f"Readers: {who} places, never two the same ones; how far people agree is not known."]
    return [
        f"Readers: {readers}. Their agreement, {name}: {figure} ({figure.method})."
        for name, figure in figures.items()
    ]


def open_questions() -> Sequence[str]:
    """What no program can know, for a person to write in."""
    return [f"{question}: *not recorded*." for question in _FOR_A_PERSON]

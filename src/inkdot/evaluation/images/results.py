"""Labelled images scored by a model, with their targets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inkdot.config import ImagesConfig, TilingConfig
from inkdot.datasets.image_cache import image_targets
from inkdot.errors import UserError
from inkdot.evaluation.head_metrics import NameArray
from inkdot.evaluation.images.scoring import score_images
from inkdot.evaluation.oof_metrics import OofPredictions, uncalibrated_scores
from inkdot.labels import Head, flag_column, flagging_head
from inkdot.manifest import ImageEntry
from inkdot.model.predictor import Predictor, ScoreArray
from inkdot.model.targets import TargetArray


@dataclass(frozen=True, slots=True)
class ImageResults:
    """Images that could be read, with their predictions.

    Attributes:
        entries: In the order of the rows.
        predictions: Targets and scores, one row each; the group stands for the patient.
        failed: Reason of each image that could not be read, by name.
        padded: Number of images that were smaller than a tile and padded with white.
        warnings: Name and warning of images whose reader has one.
        tiling: Side and scale of a tile.
        columns: How the images were cropped.
        spread: Of an ensemble: standard deviation of its models' scores of the flag class, shape [n]; None of one network.
        ood_distances: OOD distance of each image, shape [n]; None where the model has no reference.
    """

    entries: tuple[ImageEntry, ...]
    predictions: OofPredictions
    failed: dict[str, str]
    padded: int
    tiling: TilingConfig
    columns: ImagesConfig
    warnings: tuple[tuple[str, str], ...] = ()
    spread: ScoreArray | None = None
    ood_distances: ScoreArray | None = None


def image_results(entries: Sequence[ImageEntry], predictor: Predictor, images: ImagesConfig) -> ImageResults:
    """Read, crop and score every image, one batch at a time.

    Args:
        entries: The images, at the model's scale.
        predictor: The model.
        images: How images are cropped.

    Raises:
        UserError: None can be read.
    """
    model = predictor.description
    heads = model.head_records
    scored = score_images(entries, predictor, images)
    scores, readable = scored.predicted.scores, scored.entries
    if not readable:
        name, reason = next(iter(scored.failed.items()))
        raise UserError(f"expected images that can be read, found none; {name}: {reason}")
    point = model.operating_points[flagging_head(heads).name]
    predictions = OofPredictions(
        names=np.array([entry.name for entry in readable]),
        patients=np.array([entry.group for entry in readable]),
        folds=np.zeros(len(readable), np.int64),
        targets=target_rows(readable, heads),
        scores=scores,
        uncalibrated=uncalibrated_scores(scores, heads, model.temperatures),
        flagged=scores[:, flag_column(heads)] >= np.float32(point.threshold),
    )
    return ImageResults(
        entries=readable,
        predictions=predictions,
        failed=scored.failed,
        padded=scored.padded,
        tiling=model.tiling,
        columns=images,
        warnings=scored.warnings,
        spread=scored.predicted.spread,
        ood_distances=scored.ood_distances,
    )


def target_rows(entries: Sequence[ImageEntry], heads: Sequence[Head]) -> TargetArray:
    """Targets of images, NaN where unknown, shape [n, classes of all heads]."""
    unknown = np.full((1, sum(len(head.classes) for head in heads)), np.nan, np.float32)
    rows = [image_targets(entry, heads) for entry in entries]
    return np.concatenate([unknown[:0], *(own if len(own) else unknown for own in rows)])


def sites_of(images: ImageResults) -> NameArray:
    """Site of each image, blank where unknown, shape [n]."""
    return np.array([entry.site for entry in images.entries])

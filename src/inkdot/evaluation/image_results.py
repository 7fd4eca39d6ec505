"""Labelled images scored by a model, beside what is true of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from inkdot.config import Config, ImagesConfig
from inkdot.datasets.image_cache import image_targets, read_image
from inkdot.errors import SlideError, UserError
from inkdot.evaluation.head_metrics import NameArray
from inkdot.evaluation.oof_metrics import OofPredictions, uncalibrated_scores
from inkdot.labels import flagging_head
from inkdot.manifest import ImageEntry
from inkdot.model.predictor import Predictor
from inkdot.model.targets import TargetArray, head_slices
from inkdot.records import RgbArray
from inkdot.storage.model_files import ModelFile


@dataclass(frozen=True, slots=True)
class ImageResults:
    """Images that could be read, and what was said of them.

    Attributes:
        entries: In the order of the rows.
        results: Truth and scores, one row each, the group in place of the patient.
        failed: Reason of each image that could not be read, by name.
        padded: How many were filled up with white.
        config: How they were cropped.
    """

    entries: tuple[ImageEntry, ...]
    results: OofPredictions
    failed: dict[str, str]
    padded: int
    config: Config


def image_settings_of(entries: Sequence[ImageEntry], model: ModelFile, source: Path) -> list[ImageEntry]:
    """The images at the model's scale: of unknown scale for a model that knows none.

    Raises:
        UserError: The model knows its scale, and somebody did not state a image's.
    """
    if not model.mpp_known:
        return [replace(entry, mpp=None) for entry in entries]
    unknown = [entry.name for entry in entries if entry.mpp is None]
    if unknown:
        raise UserError(
            f"{source}: expected micrometres per pixel for every image, since the model was trained at {model.tiling.mpp:g} "
            f"µm/px, found {len(unknown)} without, such as {unknown[0]!r}; fill the column in, or state images.mpp_of_all "
            "in a config and pass it with --config"
        )
    return list(entries)


def image_results(entries: Sequence[ImageEntry], scorer: Predictor, images: ImagesConfig) -> ImageResults:
    """Read, crop and score every image, one batch at a time.

    Args:
        entries: The images, at the model's scale.
        scorer: The model.
        images: How images are cropped.

    Raises:
        UserError: None can be read.
    """
    model = scorer.description
    heads = model.head_records
    config = Config(preparation=model.preparation, tiling=model.tiling, heads=model.heads, images=images)
    kept: list[ImageEntry] = []
    failed: dict[str, str] = {}
    padded = 0

    def pixels() -> Iterator[RgbArray]:
        nonlocal padded
        for entry in entries:
            try:
                rgb, filled = read_image(entry, config)
            except SlideError as error:
                failed[entry.name] = str(error)
                continue
            padded += filled
            kept.append(entry)
            yield rgb

    scores = scorer.score(pixels())
    if not kept:
        name, reason = next(iter(failed.items()))
        raise UserError(f"expected images that can be read, found none; {name}: {reason}")
    head = flagging_head(heads)
    point = model.operating_points[head.name]
    column = head_slices(heads)[head.name].start + head.classes.index(point.class_name)
    results = OofPredictions(
        names=np.array([entry.name for entry in kept]),
        patients=np.array([entry.group for entry in kept]),
        folds=np.zeros(len(kept), np.int64),
        targets=_targets(kept, model),
        scores=scores,
        uncalibrated=uncalibrated_scores(scores, heads, model.temperatures),
        flagged=scores[:, column] >= np.float32(point.threshold),
    )
    return ImageResults(tuple(kept), results, failed, padded, config)


def _targets(entries: Sequence[ImageEntry], model: ModelFile) -> TargetArray:
    heads = model.head_records
    unknown = np.full((1, sum(len(head.classes) for head in heads)), np.nan, np.float32)
    rows = [image_targets(entry, heads) for entry in entries]
    return np.concatenate([own if len(own) else unknown for own in rows])


def sites_of(judged: ImageResults) -> NameArray:
    """Site of each image, blank where unknown, shape [n]."""
    return np.array([entry.site for entry in judged.entries])

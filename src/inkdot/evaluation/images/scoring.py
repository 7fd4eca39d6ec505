"""Images read, cropped and scored by a model, with their OOD distances: one by one, and the batch as a whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from inkdot.config import ImagesConfig
from inkdot.datasets.image_cache import read_image
from inkdot.errors import SlideError
from inkdot.manifest import ImageEntry
from inkdot.model.ood_reference import BATCH_IMAGES
from inkdot.model.predictor import Predicted, Predictor, ScoreArray
from inkdot.records import RgbArray
from inkdot.storage.models.model_files import ModelFile
from inkdot.storage.models.model_records import OodReference


@dataclass(frozen=True, slots=True)
class ScoredImages:
    """Images that could be read, with their scores.

    Attributes:
        entries: In the order of the rows.
        predicted: Scores, one row each.
        ood_distances: OOD distance of each, float32 [n]; None where the model has no reference.
        failed: Reason of each image that could not be read, by name.
        padded: Number of images that were smaller than a tile and padded with white.
        warnings: Name and warning of images whose reader has one.
    """

    entries: tuple[ImageEntry, ...]
    predicted: Predicted
    ood_distances: ScoreArray | None
    failed: dict[str, str]
    padded: int
    warnings: tuple[tuple[str, str], ...]


def score_images(entries: Sequence[ImageEntry], predictor: Predictor, images: ImagesConfig) -> ScoredImages:
    """Read, crop and score every image, one batch at a time; what cannot be read is listed.

    Args:
        entries: The images, at the model's scale.
        predictor: The model.
        images: How images are cropped.
    """
    model = predictor.description
    readable: list[ImageEntry] = []
    failed: dict[str, str] = {}
    warnings: list[tuple[str, str]] = []
    padded = 0

    def pixels() -> Iterator[RgbArray]:
        nonlocal padded
        for entry in entries:
            try:
                rgb, filled, found = read_image(entry, model.tiling, images, locked=True)
            except SlideError as error:
                failed[entry.name] = str(error)
                continue
            padded += filled
            warnings.extend((entry.name, text) for text in found)
            readable.append(entry)
            yield rgb

    logits: list[ScoreArray] = []
    distances: list[ScoreArray] = []
    for batch in predictor.infer(pixels()):
        logits.append(batch.logits)
        if predictor.ood_distance is not None:
            distances.append(predictor.ood_distance(batch.features))
    return ScoredImages(
        entries=tuple(readable),
        predicted=predictor.from_logits(logits),
        ood_distances=np.concatenate(distances) if distances else None,
        failed=failed,
        padded=padded,
        warnings=tuple(warnings),
    )


def image_ood_warning(distance: float, ood: OodReference) -> str:
    """The warning for one image; empty where its distance is within the limit."""
    if distance <= ood.limit:
        return ""
    return (
        f"out of distribution (OOD): expected an OOD distance of at most {ood.limit:.2f} from the training images, found "
        f"{distance:.2f}; its scores may be wrong"
    )


def batch_ood_warnings(distances: ScoreArray | None, model: ModelFile) -> list[str]:
    """What to say of a batch of images as a whole: a shift that no single image shows moves the median of many.

    Args:
        distances: OOD distance of each image, shape [n]; None where the model has no reference.
        model: The model.
    """
    ood = model.ood
    if ood is None or ood.batch_limit is None:
        return ["the model has no OOD reference: it cannot tell images unlike those of training"]
    if distances is None or not len(distances):
        return []  # no image could be read
    beyond = int((distances > ood.limit).sum())
    share = (
        f"{beyond} of {len(distances)} images ({beyond / len(distances):.0%}) are above the limit of single images, about "
        f"{ood.false_alarm_rate or 0.0:.1%} are expected"
    )
    if batch_is_ood(distances, model):
        return [
            f"out of distribution (OOD): expected a median OOD distance of the batch of at most {ood.batch_limit:.2f}, found "
            f"{np.median(distances):.2f}; {share}; these images as a whole are unlike those of training, and the scores may be "
            "wrong"
        ]
    return [f"OOD: {share}"] if beyond else []


def batch_is_ood(distances: ScoreArray | None, model: ModelFile) -> bool:
    """Whether a batch as a whole, of enough images, is above its limit."""
    ood = model.ood
    if ood is None or ood.batch_limit is None or distances is None:
        return False
    return len(distances) >= BATCH_IMAGES and float(np.median(distances)) > ood.batch_limit

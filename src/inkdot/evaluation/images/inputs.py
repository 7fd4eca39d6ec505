"""Images that a trained model is given: columns and crop, scale, and which rows are for testing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from inkdot.config import Config, ImagesConfig
from inkdot.datasets.image_tables import read_image_table
from inkdot.errors import UserError
from inkdot.labels import flagging_head
from inkdot.manifest import ImageEntry
from inkdot.pipeline.scoring.guards import require_synthetic_slides
from inkdot.records import Mpp, SlideEntry
from inkdot.storage.models.model_files import ModelFile


def columns_for_model(model: ModelFile, config: Config | None) -> ImagesConfig:
    """The columns that the config names, else those of training; the crop is that of training in both cases."""
    of_training = model.images or ImagesConfig()
    named = config.images if config else of_training
    return named.model_copy(update={"crop_px": of_training.crop_px}) if model.images else named


def read_test_images(table: Path, model: ModelFile, columns: ImagesConfig) -> list[ImageEntry]:
    """The labelled images of a table: its ``test`` images where it has a column ``split``, else all.

    Labels of the flagging head are needed; columns of other heads may be missing.

    Raises:
        UserError: The table is wrong, or has a split without test images.
    """
    heads = model.head_records
    optional = {head.name for head in heads} - {flagging_head(heads).name}
    entries = read_image_table(table, heads, columns, optional=optional)
    if not any(entry.split for entry in entries):
        return entries
    test = [entry for entry in entries if entry.split == "test"]
    if not test:
        raise UserError(no_test_message(table, "images"))
    return test


def no_test_message(table: Path, what: str) -> str:
    """The error message for a table whose split has no test rows; ``what``: slides or images."""
    return (
        f"{table}: expected {what} with split = test, found none; a model must not be evaluated on {what} of its "
        "training or validation"
    )


def at_model_scale(entries: Sequence[ImageEntry], model: ModelFile, source: Path) -> list[ImageEntry]:
    """The images with their scale; without it for a model of unknown scale.

    Raises:
        UserError: The model has a scale and an image has none.
    """
    if not model.mpp_known:
        return [replace(entry, mpp=None) for entry in entries]
    unknown = [entry.name for entry in entries if entry.mpp is None]
    if unknown:
        raise UserError(
            f"{source}: expected micrometres per pixel for every image, since the model was trained at {model.tiling.mpp:g} "
            f"µm/px, found {len(unknown)} without, such as {unknown[0]!r}; fill the column in, or set images.mpp_of_all "
            "in a config and pass it with --config"
        )
    return list(entries)


def require_synthetic_images(entries: Sequence[ImageEntry], model: ModelFile, *, allowed: bool) -> None:
    """Refuse real images for a synthetic model, unless they are allowed.

    Raises:
        SyntheticModelError: See :func:`inkdot.pipeline.scoring.guards.require_synthetic_slides`.
    """
    scale = Mpp.square(model.tiling.mpp)  # opening needs one; nothing is measured by it here
    as_slides = (SlideEntry(entry.name, entry.path, mpp=entry.mpp or scale) for entry in entries)
    require_synthetic_slides(as_slides, model, allowed=allowed)

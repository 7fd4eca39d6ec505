"""The OOD reference of a model of images, and how well a model's OOD distance notices corrupted validation tiles."""

from collections.abc import Iterator, Sequence
from typing import Final, cast

import numpy as np

from inkdot.datasets.augmentation.corruptions import corrupted, named_levels
from inkdot.datasets.cohort import Cohort, patient
from inkdot.datasets.tile_set import TileSet, evenly_spread
from inkdot.metrics.intervals.confidence_intervals import auc_estimate
from inkdot.model.network import TileNetwork
from inkdot.model.ood_reference import (
    MOST_TILES,
    fit_ood_reference,
    make_ood_distance,
    read_ood_reference,
    write_image_reference,
)
from inkdot.model.predictor import Backend
from inkdot.model.runtimes.batches import FeatureArray
from inkdot.model.targets import NameArray
from inkdot.records import RgbArray
from inkdot.storage.layout import ModelLayout
from inkdot.storage.models.model_files import ModelFile, write_model_file
from inkdot.storage.models.model_records import Interval
from inkdot.training.frozen.head_network import trainable
from inkdot.training.release.deployed_network import deployed_network
from inkdot.training.release.interval_records import to_interval
from inkdot.training.run_context import RunContext

_TILES: Final = 100
_TILES_OF_A_LARGE_NETWORK: Final = 24
_LARGE: Final = 50_000_000
"""Parameters. Each tile is inferred once per shift: a thousand tiles in all, of a large network a few hundred."""

NO_IMAGE_REFERENCE: Final = (
    "It cannot recognise out-of-distribution images: expected at least 100 training images and 20 validation images of 4 "
    "groups, found fewer."
)


def measure_ood(
    description: ModelFile,
    network: TileNetwork,
    training: TileSet,
    validation: TileSet,
    cohort: Cohort,
    context: RunContext,
) -> tuple[ModelFile, list[str]]:
    """Give a model of images its OOD reference, measure the AUROC of the distance by shift, and write the description again.

    Args:
        description: As stored in the run folder; that of a model of slides has its reference already.
        network: The whole network, on the CPU, where it is again afterwards.
        training: Its training tiles, or their embeddings.
        validation: Tiles of other patients.
        cohort: The slides or images.
        context: The run, whose folder holds the model.

    Returns:
        The description as written, and lines for the card.
    """
    notes: list[str] = []
    if cohort.images:
        description = _with_image_reference(description, network, training, validation, context)
        notes += [] if description.ood else [NO_IMAGE_REFERENCE]
    if description.ood is not None:
        auroc = _auroc_by_shift(description, network, validation, cohort, context)
        description = description.model_copy(
            update={"ood": description.ood.model_copy(update={"auroc": auroc})}
        )
    if cohort.images or description.ood is not None:
        write_model_file(context.layout.model, description)
    return description, notes


def _with_image_reference(
    description: ModelFile,
    network: TileNetwork,
    training: TileSet,
    validation: TileSet,
    context: RunContext,
) -> ModelFile:
    config, folder = context.config, context.layout.model
    rows = evenly_spread(len(training), MOST_TILES)
    own = trainable(network, frozen=config.model.freeze_backbone)
    with deployed_network(own, config.model.precision, config.tiling.side_px) as (deployed, *_):
        features = _features(deployed, [training.tile(row) for row in rows])
        # A patient, not an image: the neighbours of an augmented copy are its other copies.
        reference = fit_ood_reference(features, training.patients[rows])
        found = None
        if reference is not None and len(validation):
            distances = make_ood_distance(reference)(_features(deployed, list(validation.tiles())))
            found = write_image_reference(folder, reference, distances, validation.patients)
    if found is None:
        ModelLayout(folder).reference.unlink(missing_ok=True)
    return description.model_copy(update={"ood": found})


def _auroc_by_shift(
    description: ModelFile, network: TileNetwork, validation: TileSet, cohort: Cohort, context: RunContext
) -> dict[str, Interval]:
    """AUROC of the OOD distance for corrupted against unchanged validation tiles; empty where no pixels are kept."""
    config = context.config
    large = sum(parameter.numel() for parameter in network.parameters()) > _LARGE
    tiles, patients = _some_pixels(
        validation, cohort, context, _TILES_OF_A_LARGE_NETWORK if large else _TILES
    )
    if not tiles:
        return {}
    mpp = description.tiling.mpp if description.mpp_known else 1.0
    distance = make_ood_distance(read_ood_reference(context.layout.model))
    truth = np.repeat([False, True], len(tiles))
    found: dict[str, Interval] = {}
    with deployed_network(network, config.model.precision, config.tiling.side_px) as (deployed, *_):
        inside = distance(_features(deployed, tiles))
        for corruption, level, name in named_levels(mpp_known=description.mpp_known):
            outside = distance(_features(deployed, [corrupted(own, corruption, level, mpp) for own in tiles]))
            scores = np.concatenate([inside, outside]).astype(np.float64)
            measured = to_interval(auc_estimate(truth, scores, np.tile(patients, 2)))
            if measured is not None:
                found[name] = measured
    return found


def _some_pixels(
    validation: TileSet, cohort: Cohort, context: RunContext, most: int
) -> tuple[list[RgbArray], NameArray]:
    """Pixels of some validation tiles, evenly over all, and their patients; none of slides whose backbone is frozen."""
    if not context.config.model.freeze_backbone:
        rows = evenly_spread(len(validation), most)
        return [validation.tile(row) for row in rows], validation.patients[rows]
    if not cohort.images:
        return [], np.zeros(0, np.str_)
    images = cohort.of("validation")
    kept = [images[index] for index in evenly_spread(len(images), most)]
    pixels = cast(RgbArray, np.load(context.layout.cached_images, mmap_mode="r", allow_pickle=False))
    tiles = [pixels[int(own.selection.rows[0])] for own in kept]
    return tiles, np.array([patient(own) for own in kept])


def _features(network: Backend, tiles: Sequence[RgbArray]) -> FeatureArray:
    def one_by_one() -> Iterator[RgbArray]:
        yield from tiles

    return np.concatenate([batch.features for batch in network.infer(one_by_one())])

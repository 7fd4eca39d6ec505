"""Scores of a slide from embeddings that `inkdot embed` made, without its pixels."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from inkdot.config import Config
from inkdot.errors import StorageError
from inkdot.model.embedding_heads import infer_embeddings
from inkdot.model.predictor import Predictor
from inkdot.pipeline.resume import tiles_current
from inkdot.pipeline.scoring.embed_slide import tile_corners
from inkdot.pipeline.scoring.infer_tiles import InferredSlide
from inkdot.records import SlideEntry
from inkdot.storage.atomic import write_bytes
from inkdot.storage.embeddings.slide_embeddings import Embeddings, FloatArray, read_embeddings
from inkdot.storage.layout import RunLayout
from inkdot.storage.record_json import tile_spec_json

_ROWS_AT_ONCE: Final = 4096


def read_matching(
    entry: SlideEntry,
    tiles: pa.Table,
    tile_facts: Mapping[str, Any],
    source: RunLayout,
    predictor: Predictor,
    encoder_sha256: str,
) -> Embeddings:
    """A slide's embeddings, if a model's encoder made them from these tiles.

    Args:
        entry: The slide.
        tiles: Its tile table, as the model places tiles.
        tile_facts: Footer of the table.
        source: The folder of the embeddings.
        predictor: The model.
        encoder_sha256: Hash of the model's encoder.

    Raises:
        StorageError: There are none, or they are of another encoder, slide file or other tiles.
    """
    found, path = read_embeddings(source, entry.slide_id), source.embeddings(entry.slide_id)
    metadata, model = found.metadata, predictor.description
    if metadata["encoder_sha256"] != encoder_sha256:
        raise StorageError(
            f"{path}: expected embeddings of the model's encoder {model.backbone} ({encoder_sha256[:12]}), found those of "
            f"{metadata['encoder']} ({str(metadata['encoder_sha256'])[:12]}); run `inkdot embed --model` with this model"
        )
    if metadata.get("slide_fingerprint") != tile_facts["slide_fingerprint"]:
        raise StorageError(
            f"{path}: expected embeddings of {entry.path}, found those of another slide file; run `inkdot embed` again"
        )
    pixels = (tile_spec_json(model.tiling.spec), model.tiling.dct_scaling)
    same_pixels = (metadata["tile_spec"], metadata.get("dct_scaling")) == pixels
    if not (same_pixels and found.row == "tile" and np.array_equal(found.coords, tile_corners(tiles))):
        raise StorageError(
            f"{path}: expected embeddings of the {len(tiles)} tiles that the model's settings place, found {len(found.coords)} "
            "others; run `inkdot embed --model` with this model"
        )
    return found


def infer_from_embeddings(embeddings: Embeddings, model: Path, predictor: Predictor) -> InferredSlide:
    """Results for the tiles of a slide, from their embeddings; see :func:`inkdot.pipeline.scoring.infer_tiles.infer_tiles`."""
    inferred = list(infer_embeddings(model, predictor.description.weights_sha256, _batches(embeddings)))
    distances = None
    if (distance := predictor.ood_distance) is not None:
        empty = np.zeros(0, np.float32)
        distances = np.concatenate([empty, *(distance(batch.features) for batch in inferred)])
    return InferredSlide(predictor.from_logits([batch.logits for batch in inferred]), distances)


def copy_tables(entry: SlideEntry, config: Config, source: RunLayout, layout: RunLayout) -> None:
    """Copy a slide's tile table, clusters and mask from the folder of its embeddings, if made with the same settings.

    Tiling then finds them valid, and does not find the foreground again.
    """
    if layout.tiles(entry.slide_id).exists() or not tiles_current(entry, config, source):
        return
    for of in (
        RunLayout.mask,
        RunLayout.clusters,
        RunLayout.tiles,
    ):  # the tile table last: it marks the slide as complete
        if (path := of(source, entry.slide_id)).exists():
            write_bytes(of(layout, entry.slide_id), path.read_bytes())


def _batches(embeddings: Embeddings) -> Iterator[FloatArray]:
    for first in range(0, len(embeddings.values), _ROWS_AT_ONCE):
        yield embeddings.values[first : first + _ROWS_AT_ONCE]

"""Embeddings of labelled images: one array in the run folder, or another run's."""

import json
from pathlib import Path

import numpy as np

from inkdot.bounded_json import parse_json
from inkdot.datasets.image_cache import CachedImages
from inkdot.errors import UserError
from inkdot.model.frozen_encoder import FrozenEncoder
from inkdot.model.runtimes.batches import FeatureArray
from inkdot.storage.atomic import atomic_path, write_text
from inkdot.storage.embeddings.slide_embeddings import FloatArray
from inkdot.storage.hashing import file_sha256, json_sha256
from inkdot.storage.layout import RunLayout
from inkdot.training.frozen.encoder import cost_line
from inkdot.training.run_context import RunContext

_VERSION = "inkdot.image-embeddings/1"


def image_embeddings(
    images: CachedImages, encoder: FrozenEncoder, context: RunContext, given: RunLayout | None
) -> FloatArray:
    """Embeddings of all cached images, float16 [images, features], computed or reused; the cost is printed before.

    Args:
        images: The images.
        encoder: The frozen backbone.
        context: The run.
        given: Another run folder whose embeddings are used where they are of these images and this encoder.
    """
    facts = {
        "version": _VERSION,
        "encoder_sha256": encoder.sha256,
        "images_sha256": json_sha256([own.made_from for own in images.tiles[:1]]),
    }
    count = len(images.pixels)
    for folder in (context.layout, *([given] if given else [])):
        array, why = _read(folder, facts, count)
        if array is not None:
            context.print([f"Embeddings of {count} images are reused from {folder.root}."])
            return array
        if folder is given:
            context.print([f"The embeddings in {folder.root} are not used: {why}."])
    context.print([f"{cost_line(encoder, count)}."])
    array_path, facts_path = _paths(context.layout)
    facts_path.unlink(missing_ok=True)
    embedded = np.concatenate([_half(batch) for batch in encoder.features(images.pixels)])
    with atomic_path(array_path) as temporary, temporary.open("wb") as file:
        np.save(file, embedded, allow_pickle=False)
    written = {**facts, "array_sha256": file_sha256(array_path)}
    write_text(facts_path, json.dumps(written, indent=2, sort_keys=True) + "\n")
    return embedded


def _read(folder: RunLayout, facts: dict[str, str], count: int) -> tuple[FloatArray | None, str]:
    """The array of a folder, or why it cannot be used."""
    array_path, facts_path = _paths(folder)
    if not facts_path.exists():
        return None, "it has none of images"
    try:
        found = parse_json(facts_path.read_text(encoding="utf-8"))
        for name, value in facts.items():
            if found.get(name) != value:
                return None, f"expected {name} {value[:24]}, found {str(found.get(name))[:24]}"
        if file_sha256(array_path) != found.get("array_sha256"):
            return None, f"{array_path} is not the array that {facts_path.name} describes"
        array = np.load(array_path, allow_pickle=False)
    except (OSError, ValueError, AttributeError) as error:
        return None, " ".join(str(error).split())
    return (array, "") if len(array) == count else (None, f"expected {count} rows, found {len(array)}")


def _paths(folder: RunLayout) -> tuple[Path, Path]:
    return folder.image_embeddings, folder.image_embeddings.with_suffix(".json")


def _half(batch: FeatureArray) -> FloatArray:
    half = batch.astype(np.float16)
    if not np.isfinite(half).all():
        raise UserError(
            "model.freeze_backbone: expected embeddings that float16 can hold (up to 65504), found larger or undefined numbers; "
            "choose another model.backbone or model.weights"
        )
    return half

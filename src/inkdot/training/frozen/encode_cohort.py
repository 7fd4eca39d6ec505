"""Encoding what a training run needs: rank zero encodes, and the others read what it wrote."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from inkdot.config import Config
from inkdot.datasets.image_cache import CachedImages
from inkdot.datasets.tile_set import TileSet
from inkdot.errors import UserError
from inkdot.model.network import TileNetwork
from inkdot.records import RgbArray, SlideEntry
from inkdot.storage.layout import RunLayout
from inkdot.training.fit.pretrained import starting_network
from inkdot.training.frozen.embeddings import EmbeddingStore, embed_slides
from inkdot.training.frozen.encoder import encoder_of
from inkdot.training.frozen.image_embeddings import image_embeddings
from inkdot.training.run_context import RunContext


def given_embeddings(folder: Path | None, config: Config) -> RunLayout | None:
    """The run folder that holds the embeddings of ``--embeddings``, which may name it or its folder ``embeddings``.

    Raises:
        UserError: There is no such folder, or the backbone is not frozen.
    """
    if folder is None:
        return None
    if not config.model.freeze_backbone:
        raise UserError(
            "--embeddings: expected model.freeze_backbone: true, found false; embeddings train heads only, set it to true or "
            "leave the option out"
        )
    for root in (folder, folder.parent):
        if (root / "embeddings").is_dir() and folder in (root, root / "embeddings"):
            return RunLayout(root)
    raise UserError(
        f"--embeddings: expected a folder with embeddings, such as RUN or RUN/embeddings, found none at {folder}; give the --out "
        "of `inkdot embed` or of an earlier `inkdot train`"
    )


def encode_slides(
    entries: Sequence[SlideEntry], context: RunContext, given: RunLayout | None
) -> tuple[EmbeddingStore, dict[str, str]]:
    """Embeddings of the tiles of slides.

    Args:
        entries: The slides.
        context: The run.
        given: Another run folder whose embeddings are used where they fit.

    Returns:
        The embeddings, and the reason of each slide that failed, by slide_id.
    """
    encoder = encoder_of(_frozen_network(context.config), context.config)
    store = EmbeddingStore(encoder.sha256, context.layout, given, context.config.tiling.dct_scaling)
    return store, embed_slides(entries, encoder, store, context) if context.fabric.is_global_zero else {}


def encode_images(images: CachedImages, context: RunContext, given: RunLayout | None) -> RgbArray:
    """Embeddings of images, in place of their pixels, float16 [images, features]; arguments as of :func:`encode_slides`."""
    fabric = context.fabric
    if not fabric.is_global_zero:
        fabric.barrier()
    encoder = encoder_of(_frozen_network(context.config), context.config)
    found = image_embeddings(images, encoder, context, given)
    if fabric.is_global_zero:
        fabric.barrier()
    return cast(RgbArray, found)


def _frozen_network(config: Config) -> TileNetwork:
    """The network before training; its normalisation is that of its weights, so no tile is needed."""
    empty, names = np.zeros(0, np.int64), np.zeros(0, np.str_)
    classes = sum(len(head.classes) for head in config.head_records)
    nothing = TileSet([], empty, empty, np.zeros((0, classes), np.float32), names, names)
    return starting_network(config, nothing)[0]

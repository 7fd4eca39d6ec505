"""Embeddings of slides' tiles, each computed once: kept in the run folder, or taken from another run's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inkdot.errors import StorageError
from inkdot.execution.runner import print_summary, run_slides
from inkdot.model.frozen_encoder import FrozenEncoder
from inkdot.pipeline.scoring.embed_slide import embed_slide, tile_corners
from inkdot.records import SlideEntry
from inkdot.storage.embeddings.slide_embeddings import Embeddings, read_embeddings, read_embeddings_metadata
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import Outcome
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.parquet_tables import read_table
from inkdot.training.frozen.encoder import cost_line
from inkdot.training.run_context import RunContext


@dataclass(frozen=True, slots=True)
class EmbeddingStore:
    """Embeddings of slides by one encoder.

    Attributes:
        encoder_sha256: Hash of the encoder.
        layout: The run folder, with the tile tables; new embeddings go there.
        given: Another run folder whose embeddings are used where they fit; None for none.
        dct_scaling: Whether the decoder scales JPEG tiles, see ``tiling.dct_scaling``.
    """

    encoder_sha256: str
    layout: RunLayout
    given: RunLayout | None = None
    dct_scaling: bool = False

    def of(self, slide_id: str) -> Embeddings:
        """Embeddings of all tiles of a slide, in the order of its tile table, float16 [tiles, features]; mapped, not read.

        Raises:
            StorageError: There are none that fit.
        """
        folder = self.folder(slide_id)
        return read_embeddings(folder or self.layout, slide_id)

    def folder(self, slide_id: str) -> RunLayout | None:
        """The run folder whose embeddings of a slide are of this encoder and of these tiles; None where there is none."""
        folders = (self.layout, *([self.given] if self.given else []))
        return next((own for own in folders if not self.mismatch(own, slide_id)), None)

    def mismatch(self, folder: RunLayout, slide_id: str) -> str:
        """Why the embeddings of a slide in a folder cannot be used; empty where they can.

        A tile table with other labels has another hash but the same tiles: their pixels are compared by slide file, scale
        and corners.
        """
        tiles = self.layout.tiles(slide_id)
        try:
            facts = read_embeddings_metadata(folder, slide_id)
            if "imported_sha256" in facts and facts["encoder_sha256"] != self.encoder_sha256:
                return (
                    f"they were imported from another program, whose files name the encoder ({facts['encoder']}) but hold no "
                    "weights of it, so that no model trained on them could score a further slide; set model.backbone and "
                    "model.weights to this encoder"
                )
            wrong = _unequal(facts, {"row": "tile", "encoder_sha256": self.encoder_sha256})
            if wrong or facts["tiles_sha256"] == file_sha256(tiles):
                return wrong
            table, tile_facts = read_table(tiles, TILES_VERSION)
            if wrong := _unequal(facts, self._pixels(tile_facts)):
                return wrong
            found = read_embeddings(folder, slide_id).coords
        except StorageError as error:
            return str(error)
        same = np.array_equal(found, tile_corners(table))
        return "" if same else f"expected the {len(table)} tiles of {tiles}, found {len(found)} others"

    def _pixels(self, tile_facts: Mapping[str, Any]) -> dict[str, object]:
        """What the pixels of a tile depend on besides its corner, as in the metadata of embeddings."""
        slide = tile_facts["slide"]
        return {
            "slide_fingerprint": tile_facts["slide_fingerprint"],
            "tile_spec": tile_facts["tile_spec"],
            "mpp": [slide["mpp_x"], slide["mpp_y"]],
            "dct_scaling": self.dct_scaling,
        }


def _unequal(facts: Mapping[str, Any], expected: Mapping[str, object]) -> str:
    """The first value that differs, as text; empty where all are equal."""
    return next(
        (
            f"expected {name} {str(value)[:80]}, found {str(facts.get(name))[:80]}"
            for name, value in expected.items()
            if value is None or facts.get(name) != value
        ),
        "",
    )


def embed_slides(
    entries: Sequence[SlideEntry], encoder: FrozenEncoder, store: EmbeddingStore, context: RunContext
) -> dict[str, str]:
    """Encode the tiles of slides that have no embeddings that fit; the cost is printed before.

    Returns:
        The reason of each slide that failed, by slide_id.
    """
    missing = [entry.slide_id for entry in entries if not store.folder(entry.slide_id)]
    if store.given is not None:
        context.print(
            f"{name}: its embeddings in {store.given.root} are not used: {store.mismatch(store.given, name)}"
            for name in missing
        )
    tiles = sum(len(read_table(store.layout.tiles(name), TILES_VERSION)[0]) for name in missing)
    reused = (
        f", embeddings of {len(entries) - len(missing)} slides are reused"
        if len(missing) < len(entries)
        else ""
    )
    context.print([f"{cost_line(encoder, tiles)}{reused}."])

    def task(entry: SlideEntry) -> Outcome:
        if store.folder(entry.slide_id):
            return "reused"
        return embed_slide(entry, store.layout, encoder, dct_scaling=context.config.tiling.dct_scaling)

    embedded = run_slides("embed", entries, task, store.layout, description="Encoding tiles")
    print_summary(context.console, [embedded])
    return embedded.failed

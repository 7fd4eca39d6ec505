"""Embeddings of the tiles of one slide, by a frozen encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inkdot.errors import StorageError
from inkdot.model.frozen_encoder import EncoderSource, FrozenEncoder
from inkdot.model.predictor import Runtime
from inkdot.pipeline.scoring.infer_tiles import tiles_ahead
from inkdot.records import SlideEntry
from inkdot.storage.embeddings.slide_embeddings import (
    EmbeddingDtype,
    read_embeddings,
    read_embeddings_metadata,
    write_embeddings,
)
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import Outcome
from inkdot.storage.record_json import tile_spec_from_json
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.parquet_tables import read_footer, read_table


@dataclass(frozen=True, slots=True)
class EmbedTask:
    """:func:`embed_slide` as a task for an executor; each process loads the encoder once.

    Attributes:
        layout: The run folder, with the tile tables.
        source: Where the encoder comes from, at the same path on every machine.
        encoder_sha256: Hash of the encoder at the start of the batch.
        runtime: What the encoder runs in; ``auto`` is resolved where the task runs.
        dtype: Stored precision.
        dct_scaling: See ``tiling.dct_scaling``.
    """

    layout: RunLayout
    source: EncoderSource
    encoder_sha256: str
    runtime: Runtime = "auto"
    dtype: EmbeddingDtype = "float16"
    dct_scaling: bool = False

    def __call__(self, entry: SlideEntry) -> Outcome:
        """Embed one slide."""
        encoder = load_encoder_once(self.source, self.runtime)
        if encoder.sha256 != self.encoder_sha256:
            raise StorageError(
                f"encoder {encoder.name}: expected the weights that the batch began with, found others; "
                "do not change an encoder during a batch"
            )
        return embed_slide(entry, self.layout, encoder, self.dtype, dct_scaling=self.dct_scaling)


@lru_cache(maxsize=1)
def load_encoder_once(source: EncoderSource, runtime: Runtime) -> FrozenEncoder:
    """The encoder of a source, loaded once in each process."""
    return FrozenEncoder(source, runtime=runtime)


def embed_slide(
    entry: SlideEntry,
    layout: RunLayout,
    encoder: FrozenEncoder,
    dtype: EmbeddingDtype = "float16",
    *,
    dct_scaling: bool = False,
) -> Outcome:
    """Embed every tile in ``tiles/<slide_id>.parquet``; write ``embeddings/<slide_id>.h5``, or reuse a valid one.

    An earlier file is reused when it was made from the same tiles by the same encoder in the same runtime and precision. The
    hash of the tile table covers the slide and the settings, whose hashes are in its footer.

    Args:
        entry: The slide.
        layout: The run folder, with the tile table of the slide.
        encoder: The encoder.
        dtype: Stored precision.
        dct_scaling: See ``tiling.dct_scaling``; as the tiles of training and prediction are read.

    Raises:
        StorageError: The tile table is missing, of another slide file or of other tiles than the encoder takes, or an
            embedding is not finite.
        SlideError: The slide's pixels cannot be read.
    """
    tiles_path = layout.tiles(entry.slide_id)
    table, tile_facts = read_table(tiles_path, TILES_VERSION)
    spec = tile_spec_from_json(tile_facts["tile_spec"])
    if spec.side_px != encoder.side_px:
        raise StorageError(
            f"{tiles_path}: expected tiles of {encoder.side_px} px a side, as the encoder takes them, found {spec.side_px}; "
            "run `inkdot tile` again with the encoder's config"
        )
    facts = embedding_facts(
        tile_facts,
        file_sha256(tiles_path),
        encoder=encoder.name,
        encoder_sha256=encoder.sha256,
        runtime=encoder.runtime,
        precision=encoder.precision,
        dct_scaling=dct_scaling,
    )
    if embeddings_valid(layout, entry.slide_id, facts, dtype):
        return "reused"
    fingerprint = str(tile_facts["slide_fingerprint"])
    threads = encoder.reading_threads
    with tiles_ahead(entry, table, spec, fingerprint, dct_scaling=dct_scaling, threads=threads) as pixels:
        write_embeddings(
            layout, entry.slide_id, encoder.features(pixels), coords=tile_corners(table), dims=encoder.feature_count,
            dtype=dtype, row="tile", metadata=facts,
        )  # fmt: skip
    return "done"


def embeddings_current(
    layout: RunLayout, slide_id: str, encoder_sha256: str, dtype: EmbeddingDtype = "float16"
) -> bool:
    """Whether embeddings of a slide's present tiles by an encoder exist; neither slide nor numbers are read."""
    try:
        read_footer(layout.tiles(slide_id), TILES_VERSION)
        earlier = read_embeddings_metadata(layout, slide_id)
    except StorageError:
        return False
    found = (earlier["tiles_sha256"], earlier["encoder_sha256"], earlier["dtype"])
    return found == (file_sha256(layout.tiles(slide_id)), encoder_sha256, dtype)


def embedding_facts(
    tile_facts: Mapping[str, Any],
    tiles_sha256: str,
    *,
    encoder: str,
    encoder_sha256: str,
    runtime: str,
    precision: str,
    dct_scaling: bool,
) -> dict[str, Any]:
    """Everything that embeddings depend on, as their metadata.

    Args:
        tile_facts: Footer of the tile table.
        tiles_sha256: Hash of the tile table.
        encoder: Name of the encoder.
        encoder_sha256: See :mod:`inkdot.model.encoder_hash`.
        runtime: ``torch`` or ``openvino``.
        precision: Precision of the computation.
        dct_scaling: Whether the decoder scaled JPEG tiles.
    """
    slide = cast("Mapping[str, Any]", tile_facts["slide"])
    return {
        "encoder": encoder,
        "encoder_sha256": encoder_sha256,
        "runtime": runtime,
        "precision": precision,
        "dct_scaling": dct_scaling,
        "slide_fingerprint": tile_facts["slide_fingerprint"],
        "tiles_sha256": tiles_sha256,
        "tile_spec": tile_facts["tile_spec"],
        "mpp": [slide["mpp_x"], slide["mpp_y"]],
        "size_l0_px": [slide["width_l0_px"], slide["height_l0_px"]],
        "synthetic": slide["synthetic"],
    }


def embeddings_valid(
    layout: RunLayout, slide_id: str, facts: Mapping[str, Any], dtype: EmbeddingDtype
) -> bool:
    """Whether a slide's embeddings are complete and were made from these facts."""
    try:
        earlier = read_embeddings(layout, slide_id).metadata
    except StorageError:
        return False
    expected = {**facts, "dtype": dtype}
    return all(earlier.get(name, "absent") == value for name, value in expected.items())


def tile_corners(tiles: pa.Table) -> npt.NDArray[np.int64]:
    """Top left corners of tiles in level-0 pixels, x before y, int64 [tiles, 2]."""
    columns = [cast("Sequence[int]", tiles.column(name).to_pylist()) for name in ("x_l0_px", "y_l0_px")]
    return np.stack([np.asarray(column, np.int64) for column in columns], axis=1)

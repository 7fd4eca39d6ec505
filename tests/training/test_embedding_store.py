"""Which embeddings fit a run: those of the same pixels by the same encoder, whatever the labels."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixtures.slides_with_labels import config as slide_config
from fixtures.slides_with_labels import make_cohort

from inkdot.config import Config, config_from_mapping
from inkdot.manifest import read_slides
from inkdot.pipeline.scoring.embed_slide import embedding_facts, tile_corners
from inkdot.pipeline.tile_slide import tile_slide
from inkdot.records import SlideEntry
from inkdot.storage.embeddings.slide_embeddings import read_embeddings, write_embeddings
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.parquet_tables import read_table
from inkdot.training.frozen.embeddings import EmbeddingStore

ENCODER = "ab" * 32


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[SlideEntry]:
    manifest = make_cohort(tmp_path_factory.mktemp("slides") / "cohort", annotated=1)
    return read_slides(manifest, slide_config().head_records)[:2]


@pytest.fixture(scope="module")
def given(entries: list[SlideEntry], tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    """A folder with the first slide's embeddings, made without its labels of regions."""
    layout = RunLayout(tmp_path_factory.mktemp("given"))
    tile_slide(replace(entries[0], annotation=None), slide_config(), layout)
    path = layout.tiles("s00")
    table, facts = read_table(path, TILES_VERSION)
    write_embeddings(
        layout,
        "s00",
        [np.zeros((len(table), 3), np.float32)],
        coords=tile_corners(table),
        dims=3,
        dtype="float16",
        row="tile",
        metadata=embedding_facts(
            facts,
            file_sha256(path),
            encoder="e",
            encoder_sha256=ENCODER,
            runtime="torch",
            precision="float32",
            dct_scaling=False,
        ),
    )
    return layout


def with_tiling(**changed: object) -> Config:
    values = slide_config().model_dump(mode="json")
    tiling: Mapping[str, object] = values["tiling"]
    return config_from_mapping(values | {"tiling": {**tiling, **changed}})


def test_embeddings_of_the_same_tiles_fit_whatever_the_labels(
    entries: list[SlideEntry], given: RunLayout, tmp_path: Path
) -> None:
    layout = RunLayout(tmp_path)
    tile_slide(entries[0], slide_config(), layout)
    assert layout.tiles("s00").read_bytes() != given.tiles("s00").read_bytes()
    store = EmbeddingStore(ENCODER, layout, given)
    assert store.folder("s00") is given
    assert store.mismatch(given, "s00") == ""
    assert "expected encoder_sha256" in EmbeddingStore("cd" * 32, layout, given).mismatch(given, "s00")


@pytest.mark.parametrize(
    ("slide", "config", "scaled", "expected"),
    [
        (0, with_tiling(stride_px=16), False, "expected tile_spec"),
        (0, slide_config(), True, "expected dct_scaling True, found False"),
        (0, with_tiling(min_foreground_fraction=0.9), False, "others"),
        (1, slide_config(), False, "expected slide_fingerprint"),
    ],
)
def test_embeddings_of_other_pixels_do_not_fit(
    entries: list[SlideEntry],
    given: RunLayout,
    tmp_path: Path,
    slide: int,
    config: Config,
    scaled: bool,
    expected: str,
) -> None:
    layout = RunLayout(tmp_path)
    tile_slide(replace(entries[slide], slide_id="s00"), config, layout)
    store = EmbeddingStore(ENCODER, layout, given, dct_scaling=scaled)
    assert expected in store.mismatch(given, "s00")
    assert store.folder("s00") is None


def test_features_of_another_program_are_named_for_what_they_are(
    entries: list[SlideEntry], given: RunLayout, tmp_path: Path
) -> None:
    layout = RunLayout(tmp_path)
    tile_slide(entries[0], slide_config(), layout)
    found = read_embeddings(given, "s00")
    metadata = {**found.metadata, "encoder": "uni_v1", "imported_sha256": "0", "imported_encoder": ""}
    imported = RunLayout(tmp_path / "imported")
    write_embeddings(
        imported,
        "s00",
        [found.values],
        coords=found.coords,
        dims=3,
        dtype="float16",
        row="tile",
        metadata=metadata,
    )
    why = EmbeddingStore("cd" * 32, layout, imported).mismatch(imported, "s00")
    assert "imported from another program" in why
    assert "uni_v1" in why
    assert EmbeddingStore(ENCODER, layout, imported).mismatch(imported, "s00") == ""

"""Parquet tables between stages: the columns and footers that other programs may rely on.

The files in ``golden`` were written by the version in their name and are never rewritten: if one of these tests
fails, either the change was not meant, or the schema's version must go up.
"""

import hashlib
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inkdot.errors import StorageError
from inkdot.labels import DEFAULT_HEADS
from inkdot.morphometry import ClusterMeasurement
from inkdot.records import BoundsL0, Mpp, SlideInfo, TileSpec
from inkdot.storage.record_json import slide_info_json, tile_spec_from_json, tile_spec_json
from inkdot.storage.schemas import (
    CLUSTER_SCORES_VERSION,
    CLUSTERS_VERSION,
    MEASURES,
    NUCLEI_VERSION,
    SCORES_VERSION,
    TILES_VERSION,
    cluster_scores_schema,
    clusters_schema,
    nuclei_schema,
    scores_schema,
    tiles_schema,
)
from inkdot.storage.tables.parquet_tables import read_footer, read_table, write_table
from inkdot.units import Level0Px, LevelPx, MicrometresPerPixel, TilePx

GOLDEN = Path(__file__).parent / "golden"

INFO = SlideInfo(
    slide_id="Präparat 1",
    size_l0_px=(Level0Px(4000), Level0Px(3000)),
    mpp=Mpp(MicrometresPerPixel(0.25), MicrometresPerPixel(0.26)),
    mpp_source="manifest",
    level_sizes_px=((LevelPx(4000), LevelPx(3000)), (LevelPx(1000), LevelPx(750))),
    level_downsamples=(1.0, 4.0),
    bounds_l0_px=BoundsL0(Level0Px(10), Level0Px(20), Level0Px(3000), Level0Px(2000)),
    vendor="generic-tiff",
    synthetic=True,
    warnings=("fluorescence",),
)
SPEC = TileSpec(TilePx(256), MicrometresPerPixel(0.25), TilePx(128))
FOOTER = {"slide": slide_info_json(INFO), "tile_spec": tile_spec_json(SPEC)}


def tiles_table() -> pa.Table:
    columns = [
        [10, 138],
        [20, 20],
        [3, None],
        np.array([0.5, 0.125], np.float32),
        np.array([1.5, None], object),
        np.array([0.0, None], object),
        np.array([1.0, None], object),
        [None, None],
        [None, None],
    ]
    schema = tiles_schema(DEFAULT_HEADS)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def described(schema: pa.Schema) -> str:
    return "".join(
        f"{field.name}: {field.type}{'' if field.nullable else ' not null'}\n"
        for field in schema.remove_metadata()
    )


@pytest.mark.parametrize(
    ("version", "schema"),
    [
        (TILES_VERSION, tiles_schema(DEFAULT_HEADS)),
        (SCORES_VERSION, scores_schema(DEFAULT_HEADS)),
        (CLUSTERS_VERSION, clusters_schema()),
        (CLUSTER_SCORES_VERSION, cluster_scores_schema(DEFAULT_HEADS)),
        (NUCLEI_VERSION, nuclei_schema()),
    ],
)
def test_columns_of_each_version_are_fixed(version: str, schema: pa.Schema) -> None:
    name = version.replace("inkdot.", "").replace("/", "_v")
    assert described(schema) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_a_tiles_table_of_version_2_stays_readable() -> None:
    table, footer = read_table(GOLDEN / "tiles_v2.parquet", TILES_VERSION)
    assert described(table.schema) == described(tiles_schema(DEFAULT_HEADS))
    assert table.to_pylist() == tiles_table().to_pylist()
    assert footer == {"version": TILES_VERSION, **FOOTER}
    assert tile_spec_from_json(footer["tile_spec"]) == SPEC


def test_the_footer_is_json_under_one_key() -> None:
    metadata = pq.read_schema(GOLDEN / "tiles_v2.parquet").metadata
    footer = json.loads(metadata[b"inkdot"])
    assert sorted(footer) == ["slide", "tile_spec", "version"]
    assert sorted(footer["slide"]) == [
        "bounds_l0_px", "height_l0_px", "level_downsamples", "mpp_source", "mpp_x", "mpp_y", "slide_id",
        "synthetic", "vendor", "warnings", "width_l0_px",
    ]  # fmt: skip
    assert sorted(footer["tile_spec"]) == ["mpp", "side_px", "stride_px"]


def test_a_table_and_its_footer_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "tiles" / "s.parquet"
    write_table(path, tiles_table(), TILES_VERSION, FOOTER)
    table, footer = read_table(path, TILES_VERSION)
    assert table.to_pylist() == tiles_table().to_pylist()
    assert footer == read_footer(path, TILES_VERSION) == {"version": TILES_VERSION, **FOOTER}


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    write_table(path, tiles_table().slice(0, 0), TILES_VERSION, FOOTER)
    table, _ = read_table(path, TILES_VERSION)
    assert table.num_rows == 0
    assert described(table.schema) == described(tiles_schema(DEFAULT_HEADS))


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for name in ("a", "b"):
        write_table(tmp_path / name, tiles_table(), TILES_VERSION, dict(reversed(FOOTER.items())))
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    write_table(tmp_path / "c", tiles_table(), TILES_VERSION, FOOTER)
    digests.add(hashlib.sha256((tmp_path / "c").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_names_with_spaces_and_signs_are_files_not_patterns(tmp_path: Path) -> None:
    # Some readers take such names for patterns, URLs or partition keys.
    for name in (
        "a b.parquet",
        "x=1.parquet",
        "a#b?.parquet",
        "[s].parquet",
        "スライド.parquet",
        "s3:x.parquet",
    ):
        path = tmp_path / "k=v" / name
        write_table(path, tiles_table(), TILES_VERSION, FOOTER)
        table, _ = read_table(path, TILES_VERSION)
        assert table.column_names == tiles_schema(DEFAULT_HEADS).names


def test_values_that_json_lacks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_table(tmp_path / "a", tiles_table(), TILES_VERSION, {"mpp": float("inf")})
    assert list(tmp_path.iterdir()) == []


def test_other_versions_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    for version in ("inkdot.tiles/1", "inkdot.tiles/3", "inkdot.scores/2"):
        write_table(path, tiles_table(), version, FOOTER)
        with pytest.raises(
            StorageError, match=f"expected version inkdot.tiles/2, found {version}; run `inkdot tile`"
        ):
            read_table(path, TILES_VERSION)


def test_a_table_of_version_1_is_refused_by_name() -> None:
    with pytest.raises(
        StorageError, match=r"expected version inkdot\.tiles/2, found inkdot\.tiles/1; run `inkdot tile`"
    ):
        read_table(GOLDEN / "tiles_v1.parquet", TILES_VERSION)


def test_clusters_hold_what_morphometry_measures() -> None:
    """Morphometry lies above this floor, so that its names are repeated in the schema; they must not drift."""
    elsewhere = {"labels", "n_nuclei", "x_px", "y_px", "nuclear_area_um2"}
    assert (
        tuple(field.name for field in fields(ClusterMeasurement) if field.name not in elsewhere) == MEASURES
    )


def test_missing_foreign_and_damaged_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"gone\.parquet: expected a table .* found nothing there"):
        read_table(tmp_path / "gone.parquet", TILES_VERSION)
    pq.write_table(pa.table({"x": [1]}), tmp_path / "foreign.parquet")
    with pytest.raises(StorageError, match="one that Inkdot did not write"):
        read_table(tmp_path / "foreign.parquet", TILES_VERSION)
    whole = (GOLDEN / "tiles_v2.parquet").read_bytes()
    for cut in (0, 3, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.parquet").write_bytes(whole[:cut])
        with pytest.raises(
            StorageError, match=r"cut\.parquet: expected a Parquet table, found a damaged file"
        ):
            read_table(tmp_path / "cut.parquet", TILES_VERSION)
    flipped = bytearray(whole)
    flipped[10:60] = b"\xff" * 50
    (tmp_path / "flipped.parquet").write_bytes(bytes(flipped))
    with pytest.raises(StorageError, match="found a damaged file"):
        read_table(tmp_path / "flipped.parquet", TILES_VERSION)


def test_a_flipped_byte_is_never_an_unnamed_error(tmp_path: Path) -> None:
    """Any single damaged byte: the rows come back as written, or the file is named as damaged."""
    whole = (GOLDEN / "tiles_v2.parquet").read_bytes()
    path = tmp_path / "flipped.parquet"
    messages: list[str] = []
    for at in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[at] ^= 0x55
        path.write_bytes(bytes(flipped))
        try:
            table, footer = read_table(path, TILES_VERSION)
        except StorageError as error:
            messages.append(str(error))
            continue
        if footer == {"version": TILES_VERSION, **FOOTER} and table.schema.equals(
            tiles_schema(DEFAULT_HEADS)
        ):
            assert table.to_pylist() == tiles_table().to_pylist()
    assert len(messages) > 100
    assert all(text.startswith(f"{path}: expected") and "\n" not in text for text in messages)

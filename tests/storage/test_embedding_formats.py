"""Embeddings as TRIDENT, CLAM and STAMP write and read them.

Files of these programs are written here, and Inkdot's are read here, by plain h5py as the named functions of each program's
source do it (public repositories, read in November 2026); none of them is imported.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from inkdot.errors import StorageError
from inkdot.records import Mpp, SlideInfo, TileSpec
from inkdot.storage.embeddings.embedding_formats import (
    ForeignSource,
    Format,
    read_any,
    read_foreign,
    write_foreign,
)
from inkdot.storage.embeddings.slide_embeddings import Embeddings, read_embeddings, write_embeddings
from inkdot.storage.layout import RunLayout
from inkdot.units import Level0Px, LevelPx, MicrometresPerPixel, TilePx

FEATURES = np.random.default_rng(0).normal(0, 1, (5, 8)).astype(np.float32)
COORDS = np.array([[0, 0], [512, 0], [1024, 0], [0, 512], [512, 512]], np.int64)
SLIDE = SlideInfo(
    slide_id="s", size_l0_px=(Level0Px(4000), Level0Px(3000)), mpp=Mpp.square(0.25), mpp_source="metadata",
    level_sizes_px=((LevelPx(4000), LevelPx(3000)),), level_downsamples=(1.0,),
)  # fmt: skip
SOURCE = ForeignSource(SLIDE, encoder="uni")
TRIDENT_COORDS: dict[str, Any] = {
    "patch_size": 256, "patch_size_level0": 512, "level0_magnification": 40, "target_magnification": 20, "overlap": 0,
    "name": "s", "savetodir": "out", "level0_width": 4000, "level0_height": 3000,
}  # fmt: skip


def save_h5(path: Path, assets: dict[str, Any], attributes: dict[str, dict[str, Any]] | None = None) -> Path:
    """TRIDENT's ``save_h5`` (trident/IO.py) and CLAM's ``save_hdf5`` (wsi_core/wsi_utils.py): chunks of one row."""
    with h5py.File(path, "w") as file:
        for key, value in assets.items():
            dataset = file.create_dataset(
                key, shape=value.shape, maxshape=(None, *value.shape[1:]), chunks=(1, *value.shape[1:]), dtype=value.dtype
            )  # fmt: skip
            dataset[:] = value
            for name, attribute in (attributes or {}).get(key, {}).items():
                dataset.attrs[name] = "None" if attribute is None else attribute
    return path


def save_stamp(path: Path, coords_um: Any, attributes: dict[str, Any]) -> Path:
    """STAMP's ``extract_`` (stamp/preprocessing/__init__.py)."""
    with h5py.File(path, "w") as file:
        file["coords"] = np.asarray(coords_um, np.float32)
        file["feats"] = FEATURES.astype(np.float16)
        file.attrs["stamp_version"] = "2.3.0"
        file.attrs["extractor"] = "uni"
        for name, value in attributes.items():
            file.attrs[name] = value
    return path


def assert_read(
    found: Embeddings, side_px: int, mpp: float, coords: npt.NDArray[Any] = COORDS, atol: float = 0
) -> None:
    np.testing.assert_allclose(found.values, FEATURES, atol=atol)
    np.testing.assert_array_equal(found.coords, coords)
    assert found.metadata["encoder"] == "uni"
    assert found.metadata["tile_spec"]["side_px"] == side_px
    assert found.metadata["tile_spec"]["mpp"] == pytest.approx(mpp)
    assert found.row == "tile"


@pytest.mark.parametrize(
    ("features", "changes"),
    [
        (FEATURES, {}),
        (FEATURES[None], {}),  # [1, tiles, dims], as some encoders' wrappers give it
        (FEATURES.astype(np.float64), {}),
        (FEATURES, {"patch_size_level0": None}),  # early versions: the text None, or none
        (FEATURES, {"level0_width": None, "level0_height": None, "overlap": None}),
        (FEATURES, {"patch_size": np.int64(256), "level0_magnification": 40.0}),
    ],
)
def test_files_of_trident_are_read(
    tmp_path: Path, features: npt.NDArray[Any], changes: dict[str, Any]
) -> None:
    path = save_h5(
        tmp_path / "s.h5", {"features": features, "coords": COORDS}, {"coords": TRIDENT_COORDS | changes}
    )
    found = read_foreign(path, SOURCE)
    assert_read(found, 256, 0.5)
    assert found.metadata["format"] == "trident"


def test_the_overlap_of_trident_is_the_stride(tmp_path: Path) -> None:
    path = save_h5(
        tmp_path / "s.h5",
        {"features": FEATURES, "coords": COORDS},
        {"coords": TRIDENT_COORDS | {"overlap": 56}},
    )
    assert read_foreign(path, SOURCE).metadata["tile_spec"]["stride_px"] == 200


def test_files_of_clam_are_read(tmp_path: Path) -> None:
    """Its features have no attributes, its tiles a side at a level."""
    assets = {"features": FEATURES, "coords": COORDS.astype(np.int32)}
    bare = save_h5(tmp_path / "bare.h5", assets)
    with pytest.raises(
        StorageError,
        match=r"bare\.h5: expected the side of the tiles \(patch_size\), found none, as in CLAM's",
    ):
        read_foreign(bare, SOURCE)
    stated = TileSpec(TilePx(256), MicrometresPerPixel(0.5), TilePx(256))
    found = read_foreign(bare, ForeignSource(SLIDE, "uni", stated))
    assert_read(found, 256, 0.5)
    assert found.metadata["format"] == "clam"
    for attributes, side, mpp in (
        ({"patch_size": 256, "patch_level": 0}, 256, 0.25),
        ({"patch_size": 256, "patch_level": 1, "downsample": (4.0, 4.0)}, 256, 1.0),
        ({"patch_size": 512, "patch_level": 0, "custom_downsample": 2}, 256, 0.5),
    ):
        path = save_h5(tmp_path / "tiles.h5", assets, {"coords": attributes})
        assert_read(read_foreign(path, SOURCE), side, mpp)
    path = save_h5(tmp_path / "level.h5", assets, {"coords": {"patch_size": 256, "patch_level": 1}})
    with pytest.raises(StorageError, match="expected the side of the tiles"):
        read_foreign(path, SOURCE)


@pytest.mark.parametrize(
    ("coords_um", "attributes"),
    [
        (
            COORDS * 0.25,
            {"unit": "um", "tile_size_um": 112.0, "tile_size_px": 224, "feat_type": "tile"},
        ),  # 2.1 and later
        (COORDS * 0.25, {"unit": "um", "tile_size": 112.0, "tile_size_px": 224}),  # 2.0
    ],
)
def test_files_of_stamp_are_read(tmp_path: Path, coords_um: Any, attributes: dict[str, Any]) -> None:
    found = read_foreign(save_stamp(tmp_path / "s.h5", coords_um, attributes), ForeignSource(SLIDE))
    assert_read(found, 224, 0.5, atol=1e-3)
    assert (found.metadata["format"], found.values.dtype) == ("stamp", np.float16)


def test_coordinates_of_stamp_1_count_pixels_of_its_own_tiles(tmp_path: Path) -> None:
    coords = np.array([[0, 0], [224, 0], [448, 0], [0, 224], [224, 224]])
    found = read_foreign(save_stamp(tmp_path / "s.h5", coords, {}), ForeignSource(SLIDE))
    assert_read(found, 224, 256 / 224, np.rint(coords / 224 * 256 / 0.25).astype(int), atol=1e-3)


def test_what_a_foreign_file_lacks_is_named(tmp_path: Path) -> None:
    good = {"features": FEATURES, "coords": COORDS}
    attributes = {"coords": TRIDENT_COORDS}

    def refused(match: str, path: Path, source: ForeignSource = SOURCE) -> None:
        with pytest.raises(StorageError, match=match):
            read_foreign(path, source)

    path = tmp_path / "s.h5"
    refused(
        "expected the name of the encoder, found none", save_h5(path, good, attributes), ForeignSource(SLIDE)
    )
    refused("expected the datasets features and coords, found coords", save_h5(path, {"coords": COORDS}))
    refused(
        r"expected features of shape \[tiles, dims\], found \[8\]; embeddings of whole slides",
        save_h5(path, good | {"features": FEATURES[0]}, attributes),
    )
    refused(
        "expected one row of features per tile, found 1 for 5",
        save_h5(path, good | {"features": FEATURES[:1]}, attributes),
    )
    wrong = FEATURES.copy()
    wrong[3, 2] = np.nan
    refused(
        "expected finite embeddings, found NaN or infinity in row 3",
        save_h5(path, good | {"features": wrong}, attributes),
    )
    refused(
        "expected tiles on a slide of 4000 × 3000 px, found tiles outside",
        save_h5(path, good | {"coords": COORDS * 10}, attributes),
    )
    refused(
        "expected numbers in features, found int64", save_h5(path, good | {"features": COORDS}, attributes)
    )
    patient = {"unit": "um", "tile_size_um": 112.0, "tile_size_px": 224, "feat_type": "patient"}
    refused(
        "expected embeddings of tiles, found those of a patient", save_stamp(path, COORDS * 0.25, patient)
    )
    refused("found no tile_size_px; extract", save_stamp(path, COORDS * 0.25, {"tile_size_um": 112.0}))
    path.write_bytes(path.read_bytes()[:-500])
    refused("found a damaged one", path)
    refused("found nothing there", tmp_path / "none.h5")


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, Embeddings]:
    metadata = {
        "tiles_sha256": "ab" * 32, "encoder": "uni", "encoder_sha256": "cd" * 32,
        "tile_spec": {"side_px": 256, "mpp": 0.5, "stride_px": 256}, "mpp": [0.25, 0.25], "size_l0_px": [4000, 3000],
    }  # fmt: skip
    layout = RunLayout(tmp_path)
    write_embeddings(
        layout, "s", [FEATURES], coords=COORDS, dims=8, dtype="float16", row="tile", metadata=metadata
    )
    return layout.embeddings("s"), read_embeddings(layout, "s")


def trident_reads(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any], float]:
    """``read_coords`` (trident/IO.py) and ``extract_slide_features`` (trident/wsi_objects/WSI.py)."""
    with h5py.File(path, "r") as file:
        attributes = dict(file["coords"].attrs)
        coords, features = file["coords"][:], file["features"][:]
    side = round(
        attributes["patch_size"] * attributes["level0_magnification"] / attributes["target_magnification"]
    )
    assert side == attributes["patch_size_level0"]
    return features, coords, side


def clam_reads(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any], float]:
    """``Generic_MIL_Dataset.__getitem__`` with ``use_h5`` (dataset_modules/dataset_generic.py), ``Whole_Slide_Bag_FP``."""
    with h5py.File(path, "r") as file:
        features, coords = file["features"][:], file["coords"][:]
        attributes = dict(file["coords"].attrs)
    side = attributes["patch_size"] if attributes.get("patch_level") == 0 else attributes["patch_size_level0"]
    return features, coords, side


def stamp_reads(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any], float]:
    """``BagDataset.__getitem__`` and ``get_coords`` (stamp/modeling/data.py), then pixels by the slide's scale."""
    with h5py.File(path, "r") as file:
        features, coords_um = file["feats"][:], file["coords"][:]
        side_um = float(file.attrs["tile_size_um"])
        assert (file.attrs["extractor"], file.attrs.get("feat_type"), file.attrs["unit"]) == (
            "uni",
            "tile",
            "um",
        )
        assert side_um / int(file.attrs["tile_size_px"]) == pytest.approx(0.5)
    return features, coords_um / 0.25, side_um / 0.25


READERS = {"trident": trident_reads, "clam": clam_reads, "stamp": stamp_reads}


@pytest.mark.parametrize("format_", ["trident", "clam", "stamp"])
def test_files_for_other_programs_are_what_their_readers_expect(
    own: tuple[Path, Embeddings], tmp_path: Path, format_: Format
) -> None:
    path = tmp_path / "export" / "s.h5"
    write_foreign(path, format_, "s", own[1])
    features, coords, side_l0_px = READERS[format_](path)
    np.testing.assert_array_equal(features, own[1].values)
    np.testing.assert_allclose(coords, COORDS, atol=1e-3)
    assert side_l0_px == pytest.approx(512)
    assert features.dtype == (np.float32 if format_ == "clam" else np.float16)
    # And back again.
    found = read_foreign(path, SOURCE)
    assert found.metadata["format"] == format_
    assert_read(found, 256, 0.5, atol=2e-3)


@pytest.mark.parametrize("reader", [trident_reads, clam_reads])
def test_inkdots_own_file_is_read_as_it_is(own: tuple[Path, Embeddings], reader: Any) -> None:
    features, coords, side_l0_px = reader(own[0])
    np.testing.assert_array_equal(features, own[1].values)
    np.testing.assert_array_equal(coords, COORDS)
    assert side_l0_px == 512
    assert read_any(own[0], SOURCE).metadata == own[1].metadata


def test_a_stated_side_of_zero_is_refused(tmp_path: Path) -> None:
    path = save_stamp(tmp_path / "s.h5", COORDS * 0.25, {"tile_size_um": 256.0, "tile_size_px": 0})
    with pytest.raises(StorageError, match="expected tiles of a side above 0, found 0 px"):
        read_foreign(path, SOURCE)

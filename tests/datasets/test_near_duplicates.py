"""Near-duplicate images in two groups: refused, joined, or named."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from inkdot.config import Config, config_from_mapping
from inkdot.datasets.cohort import split_cohort
from inkdot.datasets.image_cache import CachedImages, cache_images
from inkdot.datasets.image_tables import read_image_table
from inkdot.datasets.splits.near_duplicates import group_near_duplicates
from inkdot.errors import LeakageError
from inkdot.storage.layout import RunLayout

CONFIG: Config = config_from_mapping(
    {
        "tiling": {"side_px": 32, "stride_px": 32},
        "heads": [{"name": "lesion", "classes": ["A", "B"], "flag_class": "B"}],
        "images": {"group": "original", "mpp_of_all": "unknown"},
    }
)


def cached(folder: Path, splits: str = "      ") -> CachedImages:
    """Six different fields of cells, each under a group of its own; the last is a mirrored copy of the first."""
    lines = ["path,lesion,original,split"]
    for index in range(6):
        generator = np.random.default_rng(index % 5)
        rgb = np.full((64, 64, 3), 235, np.uint8)
        for _ in range(9):
            x, y, radius = (int(value) for value in generator.integers([0, 0, 3], [64, 64, 8]))
            cv2.circle(rgb, (x, y), radius, (150, 60, 70), cv2.FILLED)
        rgb = rgb[:, ::-1] if index == 5 else rgb
        cv2.imwrite(str(folder / f"{index}.png"), rgb)
        part = {"t": "train", "v": "validation"}.get(splits[index], "")
        lines.append(f"{index}.png,{'AB'[index % 2]},o{index},{part}")
    (folder / "images.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    entries = read_image_table(folder / "images.csv", CONFIG.head_records, CONFIG.images)
    return cache_images(entries, CONFIG, RunLayout(folder / "run"), Console(quiet=True))


def test_near_duplicates_in_two_groups_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        LeakageError,
        match=r"found 1 pairs .* 0\.png and 5\.png \(correlation 1\.00\); .* images\.near_duplicates to join or warn",
    ):
        group_near_duplicates(cached(tmp_path), "error")


def test_joined_near_duplicates_are_never_on_two_sides(tmp_path: Path) -> None:
    tiles, warnings = group_near_duplicates(cached(tmp_path), "join")
    assert [own.entry.patient_id for own in tiles] == ["o0", "o1", "o2", "o3", "o4", "o0"]
    assert "Joined into one group each: 1 pairs" in warnings[0]
    for seed in range(20):
        training = CONFIG.training.model_copy(update={"seed": seed})
        parts = split_cohort(tiles, CONFIG.model_copy(update={"training": training}), images=True).parts
        assert parts["0.png"] == parts["5.png"]


def test_a_warning_leaves_the_groups_as_they_are(tmp_path: Path) -> None:
    images = cached(tmp_path)
    tiles, warnings = group_near_duplicates(images, "warn")
    assert tiles == images.tiles
    assert warnings[0].startswith("Possible leak: 1 pairs")


def test_near_duplicates_in_one_part_of_a_given_split_are_no_leak(tmp_path: Path) -> None:
    (tmp_path / "same").mkdir()
    assert group_near_duplicates(cached(tmp_path / "same", "tvtvtt"), "error")[1] == []
    (tmp_path / "torn").mkdir()
    with pytest.raises(LeakageError):
        group_near_duplicates(cached(tmp_path / "torn", "tvtvtv"), "error")


def test_a_chain_of_near_duplicates_becomes_one_group(tmp_path: Path) -> None:
    images = cached(tmp_path)
    pixels = np.array(images.pixels)
    rows = [int(own.selection.rows[0]) for own in images.tiles]
    pixels[rows[3]] = np.rot90(pixels[rows[5]])
    chained = CachedImages(pixels, images.tiles, {}, 0)
    tiles, _ = group_near_duplicates(chained, "join")
    assert [own.entry.patient_id for own in tiles] == ["o0", "o1", "o2", "o0", "o4", "o0"]

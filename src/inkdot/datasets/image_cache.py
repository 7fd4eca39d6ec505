"""Labelled images, read once and cached as one memory-mapped array, one tile each."""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

from inkdot.bounded_json import parse_json
from inkdot.config import Config, ImagesConfig, TilingConfig
from inkdot.datasets.tile_cache import LabelledTiles
from inkdot.datasets.tile_sampler import Selection
from inkdot.errors import ResolutionError, SlideError, UnreadableSlideError
from inkdot.geometry import check_resolution
from inkdot.labels import Head
from inkdot.manifest.images import ImageEntry
from inkdot.model.targets import TargetArray
from inkdot.records import Mpp, ReadPlan, RgbArray, SlideEntry
from inkdot.slides import open_slide
from inkdot.slides.synthetic_flag import is_marked_synthetic
from inkdot.storage.atomic import atomic_path, write_text
from inkdot.storage.hashing import file_sha256, json_sha256
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import LedgerLine, append
from inkdot.tiling.tile_pixels import resized
from inkdot.units import Level0Px, LevelPx

_VERSION = "inkdot.image-cache/2"


@dataclass(frozen=True, slots=True)
class CachedImages:
    """The images that could be read.

    Attributes:
        pixels: uint8, shape [n, side, side, 3].
        tiles: One per image, in the same order; the group stands for the patient.
        failed: Reason of each image that could not be read, by name.
        padded: Number of images smaller than a tile, padded with white.
        warnings: Name and warning of images whose reader has one; those of failed images excepted.
    """

    pixels: RgbArray
    tiles: tuple[LabelledTiles, ...]
    failed: dict[str, str]
    padded: int
    warnings: tuple[tuple[str, str], ...] = ()


class ReadImage(NamedTuple):
    """The tile of one image.

    Attributes:
        rgb: uint8 RGB [side, side, 3].
        padded: It was smaller than a tile, and padded with white.
        warnings: Warnings of its reader.
    """

    rgb: RgbArray
    padded: bool
    warnings: tuple[str, ...]


def cache_images(
    entries: Sequence[ImageEntry], config: Config, layout: RunLayout, console: Console
) -> CachedImages:
    """Read every image, or reuse the cache of an earlier run when neither images nor settings changed.

    An image of known scale gives its centre at the config's scale, within ``images.crop_px`` where that is given;
    one of unknown scale gives its centre square (``images.crop_px``, else its shorter side), scaled to the tile.
    """
    hashes = hashes_of(entries)
    contents = [[entry.name, hashes[entry.name], entry.mpp.x if entry.mpp else None] for entry in entries]
    made_from: dict[str, object] = {
        "version": _VERSION,
        "side_px": config.tiling.side_px,
        "mpp": config.tiling.mpp,
        "crop_px": config.images.crop_px,
        "images_sha256": json_sha256(contents),
    }
    reading = _earlier(layout, made_from)
    if reading is None:
        layout.cached_images_metadata.unlink(missing_ok=True)
        reading = _read_all(entries, config, layout, console)
        facts = {"made_from": made_from, **reading._asdict()}
        write_text(layout.cached_images_metadata, json.dumps(facts, sort_keys=True) + "\n")
    listed = listed_images(entries, config.head_records, hashes, made_from)
    tiles = tuple(own for own in listed if own.entry.slide_id not in reading.failed)
    pixels: RgbArray = np.load(layout.cached_images, mmap_mode="r", allow_pickle=False)
    return CachedImages(pixels, tiles, reading.failed, reading.padded, reading.warnings)


def hashes_of(entries: Sequence[ImageEntry]) -> dict[str, str]:
    """Hash of every image's file by name; blank where it cannot be read."""
    return {entry.name: _hash(entry) for entry in entries}


def listed_images(
    entries: Sequence[ImageEntry],
    heads: Sequence[Head],
    hashes: Mapping[str, str],
    made_from: dict[str, object],
) -> list[LabelledTiles]:
    """Images as slides of one tile each, as training takes them; no pixel is read.

    Args:
        entries: The images.
        heads: The heads.
        hashes: See :func:`hashes_of`.
        made_from: Hashes and settings that determine their pixels.
    """
    return [
        LabelledTiles(
            entry=SlideEntry(
                entry.name, entry.path, patient_id=entry.group, site=entry.site, extra={"split": entry.split}
            ),
            selection=Selection(np.array([index]), 0),
            targets=image_targets(entry, heads),
            synthetic=is_marked_synthetic(entry.path, ()),
            made_from=made_from,
            source_sha256=hashes[entry.name],
            mpp=entry.mpp,
        )
        for index, entry in enumerate(entries)
    ]


_LOCKED = (
    "scale and crop are those of the model's training: leave the image out, or train a model with others"
)


def read_image(
    entry: ImageEntry, tiling: TilingConfig, images: ImagesConfig, *, locked: bool = False
) -> ReadImage:
    """Read the tile of one image.

    Args:
        entry: The image.
        tiling: Side and scale of a tile.
        images: How images are cropped.
        locked: Tile and crop are those of a trained model: messages do not advise to change them.

    Raises:
        SlideError: The image cannot be read, is coarser than the config's scale, or smaller than the crop.
    """
    spec, crop_px = tiling.spec, images.crop_px
    # The reader of plain images needs a scale; where it is unknown, any will do: nothing is measured by it.
    mpp = entry.mpp or Mpp.square(spec.mpp)
    with closing(open_slide(SlideEntry(entry.name, entry.path, mpp=mpp))) as image:
        width, height = image.info.size_l0_px
        if crop_px is not None and crop_px > min(width, height):
            raise UnreadableSlideError(
                f"{entry.path}: expected at least images.crop_px = {crop_px} pixels on each side, found {width} x {height}; "
                + (_LOCKED if locked else "lower images.crop_px or leave the image out")
            )
        available = crop_px or min(width, height)
        wide = tall = float(available)
        if entry.mpp is not None:
            try:
                check_resolution(image.info, spec.mpp)
            except ResolutionError as error:
                if not locked:
                    raise
                found = str(error).split(";")[0]
                raise ResolutionError(f"{entry.path}: {found}; {_LOCKED}") from None
            wide, tall = spec.side_um / entry.mpp.x, spec.side_um / entry.mpp.y
            if crop_px is not None and max(wide, tall) > crop_px:
                raise ResolutionError(
                    f"{entry.path}: expected images.crop_px to hold a tile of {spec.side_um:g} µm ({max(wide, tall):.0f} px), "
                    f"found {crop_px}; "
                    + (_LOCKED if locked else "raise it, or lower tiling.side_px or tiling.mpp")
                )
        w, h = max(1, round(wide)), max(1, round(tall))
        x, y = (width - w) // 2, (height - h) // 2
        rgb = image.read(ReadPlan(0, Level0Px(x), Level0Px(y), LevelPx(w), LevelPx(h)))
        warnings = image.info.warnings
    return ReadImage(resized(rgb, spec.side_px, spec.side_px), w > width or h > height, warnings)


class _Reading(NamedTuple):
    failed: dict[str, str]
    padded: int
    warnings: tuple[tuple[str, str], ...]


def _read_all(entries: Sequence[ImageEntry], config: Config, layout: RunLayout, console: Console) -> _Reading:
    side = config.tiling.side_px
    failed: dict[str, str] = {}
    padded = 0
    warnings: list[tuple[str, str]] = []
    start = time.perf_counter()
    with atomic_path(layout.cached_images) as temporary:
        pixels = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(entries), side, side, 3))
        for index, entry in enumerate(track(entries, description="Reading images", console=console)):
            try:
                pixels[index], filled, found = read_image(entry, config.tiling, config.images)
                padded += filled
                warnings += [(entry.name, text) for text in found]
            except SlideError as error:
                failed[entry.name] = str(error)
                append(layout.ledger, LedgerLine("cache", entry.name, "failed", 0.0, str(error)))
        pixels.flush()
        del pixels  # Windows renames no file that is still mapped
    append(layout.ledger, LedgerLine("cache", "all images", "done", time.perf_counter() - start))
    return _Reading(failed, padded, tuple(warnings))


def _earlier(layout: RunLayout, made_from: dict[str, object]) -> _Reading | None:
    if not layout.cached_images.exists():
        return None
    try:
        facts = parse_json(layout.cached_images_metadata.read_text(encoding="utf-8"))
        if facts["made_from"] != made_from:
            return None
        return _Reading(
            facts["failed"], facts["padded"], tuple((name, text) for name, text in facts["warnings"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _hash(entry: ImageEntry) -> str:
    """Blank where the file cannot be read: opening it gives the reason."""
    try:
        return file_sha256(entry.path)
    except OSError:
        return ""


def with_targets_of(
    entries: Sequence[ImageEntry], tiles: Sequence[LabelledTiles], config: Config
) -> tuple[list[LabelledTiles], bool]:
    """The images with targets of the heads of ``config``, and that none is trained on labels of whole slides."""
    labels = {entry.name: entry for entry in entries}
    heads = config.head_records
    return [replace(own, targets=image_targets(labels[own.entry.slide_id], heads)) for own in tiles], False


def image_targets(entry: ImageEntry, heads: Sequence[Head]) -> TargetArray:
    """One row, or none where the image has no usable label; shape [1 or 0, classes of all heads]."""
    row: list[float] = []
    for head in heads:
        target = head.target(entry.labels.get(head.name))
        row += [float("nan")] * len(head.classes) if target is None else list(target)
    targets = np.array([row], np.float32)
    return targets[~np.isnan(targets).all(axis=1)]

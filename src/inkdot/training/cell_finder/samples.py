"""Samples of the cell finder's training: turned, scaled and stained at random, with targets at half the resolution."""

import math
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.morphometry.arrays import Labels
from inkdot.records import RgbArray

SAMPLE_PX: Final = 128
"""Side of a sample, at 0.5 µm per pixel; its targets have half of it."""

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]
Turn = npt.NDArray[np.float64]
"""An affine map, shape [2, 3], from pixels of an image to those of a sample."""

Glass = tuple[float, float, float]


@dataclass
class Crop:
    """An image with the nuclei on it.

    Attributes:
        group: What shares of a batch are given to.
        kind: What is drawn evenly within a group.
        rgb: Shape [height, width, 3].
        glass: Colour of empty glass.
        nuclei: Number of the nucleus at each pixel, shape [height, width].
        supervised: 1 where it is known whether there is a nucleus.
        scale: Least and largest factor to 0.5 µm per pixel.
    """

    group: str
    kind: str
    rgb: RgbArray
    glass: Glass
    nuclei: Labels
    supervised: Mask
    scale: tuple[float, float] = (0.5, 0.5)

    def centres(self) -> Floats:
        """Middle and radius of each nucleus of 20 pixels and more, in pixels, shape [nuclei, 3]."""
        return middles_of(self.nuclei, least_px=20)


def middles_of(nuclei: Labels, least_px: int = 1) -> Floats:
    """Middle (x, y) and radius of each labelled nucleus, in pixels, shape [nuclei, 3].

    Args:
        nuclei: Number of the nucleus at each pixel, 0 where there is none.
        least_px: Smaller ones are left out.
    """
    y, x = np.nonzero(nuclei)
    owner = nuclei[y, x]
    area = np.maximum(np.bincount(owner, minlength=1), 1)
    middle = [np.bincount(owner, at, len(area)) / area for at in (x, y)]
    table = np.stack([*middle, np.sqrt(area / np.pi)], axis=1).astype(np.float32)
    return table[1:][np.bincount(owner, minlength=len(area))[1:] >= least_px]


def random_turn(middle: npt.NDArray[np.float64], factor: float, rng: np.random.Generator) -> Turn:
    """Turn an image about a point by any angle, mirrored half of the time, so that the point is in the middle of the sample.

    Args:
        middle: The point, x and y in pixels.
        factor: Pixels of the sample per pixel of the image.
        rng: Draws angle and mirroring.
    """
    turn = np.asarray(
        cv2.getRotationMatrix2D((middle[0], middle[1]), rng.uniform(0, 360), factor), np.float64
    )
    turn[:, 2] += SAMPLE_PX / 2 - middle
    if rng.integers(2):
        turn[0] *= -1
        turn[0, 2] += SAMPLE_PX - 1
    return turn


def turned_od(rgb: RgbArray, glass: Glass, turn: Turn, factor: float) -> Floats:
    """Optical density of a sample, shape [3, SAMPLE_PX, SAMPLE_PX]."""
    source = rgb if factor > 0.9 else cv2.GaussianBlur(rgb, (0, 0), 0.35 / factor)
    size = (SAMPLE_PX, SAMPLE_PX)
    seen = cv2.warpAffine(source, turn, size, borderMode=cv2.BORDER_REFLECT_101).astype(np.float32)
    od = np.log10(np.asarray(glass, np.float32) / np.maximum(seen, np.float32(1)))
    return od.transpose(2, 0, 1)


def target_turn(turn: Turn) -> Turn:
    """The same map to the pixels of the targets, which are twice as large."""
    half = turn * 0.5
    half[:, 2] -= 0.25
    return half


def sample(crop: Crop, centres: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
    """One sample of a crop.

    Returns:
        Optical density [3, 128, 128], and nucleus, centre and supervision, each [64, 64].
    """
    height, width = crop.nuclei.shape
    factor = math.exp(rng.uniform(math.log(crop.scale[0]), math.log(crop.scale[1]))) * math.exp(
        rng.uniform(-0.18, 0.18)
    )
    shift = 0.35 * np.array([width, height]) if width > 300 or crop.group == "nuclei" else np.full(2, 45.0)
    middle = np.array([width, height]) / 2 + rng.uniform(-shift, shift)
    turn = random_turn(middle, factor, rng)
    od = turned_od(crop.rgb, crop.glass, turn, factor)
    half, size = target_turn(turn), SAMPLE_PX // 2
    nuclei = cv2.warpAffine(crop.nuclei.astype(np.float32), half, (size, size), flags=cv2.INTER_NEAREST)
    supervised = cv2.warpAffine(crop.supervised, half, (size, size), flags=cv2.INTER_NEAREST)
    centre = centre_map(_moved(centres, half, 0.5 * factor), size)
    # Nuclei that touch are parted by a line of background.
    least = cv2.erode(np.where(nuclei > 0, nuclei, 1e6).astype(np.float32), np.ones((3, 3)))
    parted = (nuclei > 0) & (least == cv2.dilate(nuclei, np.ones((3, 3))))
    return stained(od, rng), parted.astype(np.float32), centre, supervised.astype(np.float32)


def _moved(centres: Floats, turn: Turn, factor: float) -> Floats:
    moved = np.array(centres, np.float32)
    points = np.concatenate([centres[:, :2], np.ones((len(centres), 1), np.float32)], axis=1)
    moved[:, :2] = points @ turn.T
    moved[:, 2] *= factor
    return moved


def centre_map(centres: Floats, size: int) -> Floats:
    """A summit of height 1 at the middle of each nucleus, after Zhou et al., Objects as Points (2019); shape [size, size].

    Args:
        centres: Middle (x, y) and radius of each nucleus in pixels of the map, shape [nuclei, 3].
        size: Side of the map.
    """
    y, x = np.mgrid[:size, :size].astype(np.float32)
    heat = np.zeros((size, size), np.float32)
    for at_x, at_y, reach in centres.tolist():
        if reach >= 1.2 and -reach < min(at_x, at_y) and max(at_x, at_y) < size + reach:
            sigma = max(1.1, 0.32 * reach)
            heat = np.maximum(heat, np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * sigma**2)))
    return heat.astype(np.float32)


def stained(od: npt.NDArray[np.floating], rng: np.random.Generator) -> Floats:
    """Another stain, lamp, focus and noise: mixed channels, so that hue alone does not decide.

    Args:
        od: Optical density, shape [3, height, width].
        rng: Draws them.
    """
    if rng.random() < 0.85:
        mix = np.eye(3) + rng.normal(0, rng.choice([0.08, 0.2]), (3, 3))
        od = np.tensordot(mix, od, 1) * math.exp(rng.normal(0, 0.22))
        od = od * np.exp(rng.normal(0, 0.08, (3, 1, 1))) + rng.normal(0, 0.012, (3, 1, 1))
    od = od.astype(np.float32)
    chance = rng.random()
    if chance < 0.35:
        sigma = rng.uniform(0.4, 1.5)
        od = np.stack([_blurred(plane, sigma) for plane in od])
    elif chance < 0.5:
        gain = rng.uniform(0.3, 1.0)
        od = np.stack([plane + gain * (plane - _blurred(plane, 1.0)) for plane in od])
    if rng.random() < 0.3:
        od = od + rng.normal(0, rng.uniform(0.005, 0.03), od.shape)
    return np.clip(od, -0.05, 2.55).astype(np.float32)


def _blurred(plane: npt.NDArray[np.floating], sigma: float) -> Floats:
    return cast(Floats, cv2.GaussianBlur(plane, (0, 0), sigma))

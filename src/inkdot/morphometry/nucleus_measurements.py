"""What is measured of a nucleus, in micrometres and optical densities, each with its definition and source.

Numbers describe one focal plane of one preparation. Absolute micrometres do not transfer between preparations:
compare with the same slide's lymphocytes (:mod:`inkdot.morphometry.lymphocyte_reference`).
"""

import math
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.morphometry.arrays import Box, Labels, Plane, boxes, distance_um, nearest_label, steepness
from inkdot.morphometry.mask_shape import principal_variances, solidity
from inkdot.morphometry.stain_planes import nuclear_stain, optical_density
from inkdot.records import MaskArray, Mpp, RgbArray

TEXTURE_UM: Final = 0.5
"""Chromatin grains of about this size (µm) count as texture: fine stippling is 0.25 to 0.45, clumps 0.8 to 1.5."""

NUCLEOLUS_UM: Final = (0.9, 3.2)
"""Diameters (µm) at which a dark round spot counts as a nucleolus."""

CYTOPLASM_OD: Final = 0.04
"""Mean optical density from which a pixel is cytoplasm rather than glass: twice what the spot's edge ring has."""

CELL_RANGE_UM: Final = 8.0
"""Cytoplasm is looked for up to this far (µm) from the nucleus, never across another nucleus's half."""


@dataclass(frozen=True, slots=True)
class NucleusMeasurement:
    """One nucleus.

    Attributes:
        label: Its number in the segmentation.
        x_px: Centroid in pixels of the image, from the left edge.
        y_px: Centroid in pixels of the image, from the top edge.
        area_um2: Area in µm².
        diameter_um: Equivalent diameter, 2 √(area / π), of a disc of that area, in µm.
        aspect: Major by minor axis of the ellipse with the same second moments; 1 for a disc.
        solidity_fraction: Area as a fraction (0 to 1) of the convex hull's.
        mean_od: Mean optical density of red and green light (nuclear stain times haematoxylin's mean absorption).
        stain: Mean nuclear stain, in concentrations of haematoxylin (see :func:`inkdot.morphometry.stain_planes.nuclear_stain`).
        texture: Chromatin texture: standard deviation of the stain in the band around 0.5 µm, inside the nucleus
            without its rim, by the mean stain. Smudged chromatin is near 0, clumped above 0.1. Descriptive: texture
            alone did not tell neuroendocrine tumours apart (Feulgen study, DOMAIN A1.2).
        nucleolus_score: The strongest dark round spot of 0.9 to 3.2 µm inside the nucleus: its contrast with its
            surroundings by the mean stain of the nucleus: 0 for none, near 0.7 for a nucleolus that is that much darker.
        rim_stain_ratio: Mean stain of the outer 0.7 µm by that of the rest; above 1 for vesicular nuclei.
        nc_area_ratio: Nuclear area by the area of nucleus and cytoplasm together (0 to 1]; 1 for a naked nucleus.
            An estimate: what is stained and nearer to this nucleus than to any other, up to 8 µm away.
        nc_diameter_ratio: Square root of that: ratio of the equivalent diameters.
        edge_blur_um: Mean stain by the mean gradient along the rim: small where the nucleus is in focus.
        touches_border: Whether it is cut by the image's border: its size is then a lower bound.
    """

    label: int
    x_px: float
    y_px: float
    area_um2: float
    diameter_um: float
    aspect: float
    solidity_fraction: float
    mean_od: float
    stain: float
    texture: float
    nucleolus_score: float
    rim_stain_ratio: float
    nc_area_ratio: float
    nc_diameter_ratio: float
    edge_blur_um: float
    touches_border: bool


def measure_nuclei(
    rgb: RgbArray, labels: Labels, mpp: Mpp, glass: tuple[float, float, float] | None = None
) -> list[NucleusMeasurement]:
    """Measure every nucleus of a segmentation.

    Args:
        rgb: The image, shape [height, width, 3].
        labels: Its segmentation, shape [height, width].
        mpp: Micrometres per pixel; must be known, not guessed.
        glass: Colour of the slide's empty glass; estimated from the image where None.

    Returns:
        One measurement per label, in the order of the labels.
    """
    density = optical_density(rgb, glass)
    stain = nuclear_stain(rgb, glass)
    bands = _Bands.of(stain, mpp)
    cytoplasm = _cytoplasm_px(labels, density, mpp)
    return [
        _measure(label, box, labels, density, stain, bands, int(cytoplasm[label]), mpp)
        for label, box in boxes(labels)
    ]


@dataclass(frozen=True, slots=True)
class _Bands:
    """Band-passed planes of the whole image: filtering each nucleus alone would see its cut edge."""

    texture: Plane
    gradient_per_um: Plane

    @classmethod
    def of(cls, stain: Plane, mpp: Mpp) -> "_Bands":
        along_x = cv2.Sobel(stain, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8 / mpp.x)
        along_y = cv2.Sobel(stain, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8 / mpp.y)
        return cls(
            _band(stain, TEXTURE_UM * 2, mpp),
            steepness(cast(Plane, along_x), cast(Plane, along_y)),
        )


def _band(plane: Plane, diameter_um: float, mpp: Mpp) -> Plane:
    """Difference of Gaussians with the strongest response to discs of that diameter."""
    sigma_um = diameter_um / 2 / math.sqrt(2)

    def smooth(sigma: float) -> Plane:
        return cast(Plane, cv2.GaussianBlur(plane, (0, 0), sigmaX=sigma / mpp.x, sigmaY=sigma / mpp.y))

    return smooth(sigma_um / 1.26) - smooth(sigma_um * 1.26)


def _measure(
    label: int,
    box: Box,
    labels: Labels,
    density: Plane,
    stain: Plane,
    bands: _Bands,
    cytoplasm_px: int,
    mpp: Mpp,
) -> NucleusMeasurement:
    mask = cast(MaskArray, labels[box] == label)
    rows, columns = np.nonzero(mask)
    area_um2 = rows.size * mpp.x * mpp.y
    inside_um = _depth_um(mask, mpp)
    amounts = stain[box]
    mean = float(amounts[mask].mean())
    core = _or_all(inside_um > 0.7, mask)
    ring = mask & (inside_um <= 0.7)
    gradient = float(bands.gradient_per_um[box][ring].mean()) if ring.any() else 0.0
    cell_px = rows.size + cytoplasm_px
    top, left = int(box[0].start), int(box[1].start)
    height, width = labels.shape
    return NucleusMeasurement(
        label=label,
        x_px=float(columns.mean()) + left,
        y_px=float(rows.mean()) + top,
        area_um2=area_um2,
        diameter_um=2 * math.sqrt(area_um2 / math.pi),
        aspect=_aspect(columns * mpp.x, rows * mpp.y),
        solidity_fraction=solidity(mask),
        mean_od=float(density[box][mask][:, :2].mean()),
        stain=mean,
        texture=float(bands.texture[box][core].std()) / max(mean, 1e-3),
        nucleolus_score=_nucleolus(amounts, core, mpp) / max(mean, 1e-3),
        rim_stain_ratio=float(amounts[ring].mean() / max(float(amounts[core].mean()), 1e-3))
        if ring.any()
        else 1.0,
        nc_area_ratio=rows.size / cell_px,
        nc_diameter_ratio=math.sqrt(rows.size / cell_px),
        edge_blur_um=mean / max(gradient, 1e-3),
        touches_border=top == 0 or left == 0 or box[0].stop == height or box[1].stop == width,
    )


_DISC_RESPONSE: Final = 0.328
"""Response at the centre of a disc to the band of its diameter, per unit of contrast: e^(-1/1.26²) - e^(-1.26²)."""


def _nucleolus(amounts: Plane, core: MaskArray, mpp: Mpp) -> float:
    """Contrast of the strongest round spot in a nucleus's core, in units of stain; 0 for none.

    Around the core the stain is set to the core's median, so that the edge of the nucleus gives no response.
    """
    wide = math.ceil(NUCLEOLUS_UM[1] / min(mpp.x, mpp.y))
    inside = np.pad(core, wide)
    even = np.where(inside, np.pad(amounts, wide), float(np.median(amounts[core]))).astype(np.float32)
    responses = [
        _band(even, float(diameter), mpp)[inside].max() for diameter in np.geomspace(*NUCLEOLUS_UM, 4)
    ]
    return max(0.0, float(max(responses))) / _DISC_RESPONSE


def _or_all(part: MaskArray, mask: MaskArray) -> MaskArray:
    """The part of a mask, or all of it where the part is empty: small nuclei have no deep middle."""
    inside = part & mask
    return inside if inside.any() else mask


def _depth_um(mask: MaskArray, mpp: Mpp) -> npt.NDArray[np.float64]:
    return distance_um(np.pad(mask, 1), mpp)[1:-1, 1:-1]


def _aspect(x_um: npt.NDArray[np.floating], y_um: npt.NDArray[np.floating]) -> float:
    if x_um.size < 3:
        return 1.0
    longer, shorter = principal_variances(x_um, y_um)
    return math.sqrt(longer / max(shorter, 1e-9)) if longer > 0 else 1.0


def _cytoplasm_px(labels: Labels, density: Plane, mpp: Mpp) -> npt.NDArray[np.int64]:
    """Pixels of cytoplasm per label: stained, near, and nearer to it than to any other."""
    numbers = int(labels.max(initial=0)) + 1
    if numbers == 1:
        return np.zeros(1, np.int64)
    owner, distance = nearest_label(labels, mpp)
    stained = (density.mean(axis=2) > CYTOPLASM_OD) & (labels == 0) & (distance <= CELL_RANGE_UM)
    return np.bincount(owner[stained], minlength=numbers)

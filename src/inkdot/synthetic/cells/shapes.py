"""Outlines of nuclei and cells as radii around a centre.

An outline is a float32 array [64]: the distance in µm from the centre to the border at angle 2π k / 64, angle 0
pointing right and growing towards the bottom of the image. All outlines are star-shaped around their centre, so
flattening is a minimum and rasterising a look-up.
"""

import math

import numpy as np
import numpy.typing as npt

ANGLE_COUNT = 64
ANGLES = np.linspace(0.0, 2.0 * np.pi, ANGLE_COUNT, endpoint=False, dtype=np.float32)

_NEXT = np.roll(np.arange(ANGLE_COUNT), -1)
_HALF_SINE = 0.5 * math.sin(2.0 * math.pi / ANGLE_COUNT)

Outline = npt.NDArray[np.float32]


def ellipse(equivalent_diameter_um: float, aspect: float, tilt: float) -> Outline:
    """An ellipse with the area of a circle of the given diameter.

    Args:
        equivalent_diameter_um: Diameter of the circle with the same area.
        aspect: Long axis over short axis, at least 1.
        tilt: Direction of the long axis in radians.
    """
    mean_radius = equivalent_diameter_um / 2.0
    long, short = mean_radius * np.sqrt(aspect), mean_radius / np.sqrt(aspect)
    angles = ANGLES - np.float32(tilt)
    radius = long * short / np.hypot(short * np.cos(angles), long * np.sin(angles))
    return radius.astype(np.float32)


def perturbed(outline: Outline, irregularity: float, rng: np.random.Generator) -> Outline:
    """Add harmonics k = 2 to 6 with amplitudes N(0, irregularity / k), relative to the radius."""
    bumps = np.zeros(ANGLE_COUNT, np.float32)
    for k in range(2, 7):
        bumps += rng.normal(0.0, irregularity / k) * np.cos(k * ANGLES + rng.uniform(0.0, 2.0 * np.pi))
    return (outline * np.clip(1.0 + bumps, 0.6, 1.4)).astype(np.float32)


def notched(outline: Outline, depth_fraction: float, direction: float, width: float = 0.55) -> Outline:
    """Indent one side, as in the kidney-shaped nucleus of a monocyte.

    Args:
        outline: The outline to indent.
        depth_fraction: Depth as a fraction (0 to 1) of the radius.
        direction: Angle of the deepest point in radians.
        width: Half-width of the notch in radians.
    """
    away = np.angle(np.exp(1j * (ANGLES - direction)))
    return (outline * (1.0 - depth_fraction * np.exp(-((away / width) ** 2)))).astype(np.float32)


def flattened(outline: Outline, distance_um: float, direction: float) -> Outline:
    """Cut an outline off at a straight line, with slightly rounded corners.

    Args:
        outline: The outline to cut.
        distance_um: Distance of the line from the centre, at least 0.5 µm.
        direction: Angle of the line's normal, pointing away from the centre.
    """
    cosine = np.cos(ANGLES - np.float32(direction))
    limit = max(distance_um, 0.5) / np.maximum(cosine, 1e-3)
    sharpness = 14.0  # of the smooth minimum
    beyond = np.where(cosine > 1e-3, (limit / outline) ** -sharpness, 0.0)
    return (outline * (1.0 + beyond) ** (-1.0 / sharpness)).astype(np.float32)


def area_um2(outline: Outline) -> float:
    """Area inside the outline, from the 64 triangles between neighbouring radii."""
    return _HALF_SINE * float(np.dot(outline, outline[_NEXT]))


def equivalent_diameter_um(outline: Outline) -> float:
    """Diameter of the circle with the outline's area."""
    return 2.0 * math.sqrt(area_um2(outline) / math.pi)


def polygon_um(outline: Outline, x_um: float, y_um: float, every: int = 2) -> npt.NDArray[np.float64]:
    """The outline as points [n, (x, y)] in µm around a centre; ``every`` thins the 64 points."""
    radii, angles = outline[::every].astype(float), ANGLES[::every].astype(float)
    return np.stack([x_um + radii * np.cos(angles), y_um + radii * np.sin(angles)], axis=1)

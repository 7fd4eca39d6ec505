"""Dyes as optical density per unit of concentration, and how laboratories differ in them."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DYES = ("haematoxylin", "eosin", "light_green", "orange_g", "pigment")
H, E, LG, OG, PIGMENT = range(5)

# Optical density (R, G, B) per unit concentration; SYNTHETIC.md B8, from QuPath's defaults (H, E), Landini's
# Feulgen light green and Azan vectors (LG, OG). The brown of haemosiderin is a choice.
_VECTORS = np.array(
    [
        [0.651, 0.701, 0.290],
        [0.216, 0.801, 0.558],
        [0.947, 0.254, 0.197],
        [0.107, 0.368, 0.924],
        [0.350, 0.620, 0.940],
    ]
)

# Harris haematoxylin over light green and eosin lets less blue through than in H&E: nuclei look blue-black.
_PAP_HAEMATOXYLIN = np.array([0.650, 0.675, 0.370])


@dataclass(frozen=True, slots=True)
class Stain:
    """One laboratory's staining.

    Attributes:
        name: ``pap`` or ``he``.
        od: Optical density per unit concentration, float32 [5 dyes, (R, G, B)], the laboratory's strength included.
        white: Colour of empty glass under this laboratory's light, float32 [3], 0 to 255.
        cytoplasmic_haematoxylin: Concentration left in cytoplasm by weak differentiation.
    """

    name: str
    od: npt.NDArray[np.float32]
    white: npt.NDArray[np.float32]
    cytoplasmic_haematoxylin: float


def _vectors(name: str) -> npt.NDArray[np.float64]:
    """Optical density per unit concentration of the dyes in one kind of staining, [5, 3]."""
    vectors = _VECTORS.copy()
    if name == "pap":
        vectors[H] = _PAP_HAEMATOXYLIN
    return vectors


def reference_stain(name: str) -> Stain:
    """The staining of the specification, without any laboratory's habits."""
    return Stain(name, _vectors(name).astype(np.float32), np.full(3, 243.0, np.float32), 0.02)


def laboratory_stain(name: str, rng: np.random.Generator) -> Stain:
    """Draw a laboratory: turned stain vectors, its own strengths, tint and differentiation (SYNTHETIC.md B6)."""
    vectors = np.stack(
        [_turned(vector, rng.normal(0.0, math.radians(3.0)), rng) for vector in _vectors(name)]
    )
    strength = np.exp(rng.normal(0.0, [0.10, 0.16, 0.16, 0.16, 0.05]))
    if rng.random() < 0.5:  # EA36-like: more eosin for the light green
        strength[E] *= 1.25
        strength[LG] *= 0.8
    white = np.clip(rng.normal(243.0, 2.0) + rng.uniform(-4.0, 4.0, 3), 228.0, 252.0)
    od = np.maximum(vectors, 0.01) * strength[:, None]
    return Stain(name, od.astype(np.float32), white.astype(np.float32), float(rng.uniform(0.0, 0.06)))


def _turned(
    vector: npt.NDArray[np.float64], angle: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Turn a vector by an angle (radians) around a random axis perpendicular to it."""
    axis = np.cross(vector, rng.standard_normal(3))
    axis /= np.linalg.norm(axis)
    return vector * np.cos(angle) + np.cross(axis, vector) * np.sin(angle)

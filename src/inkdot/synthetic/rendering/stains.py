"""Stain vectors of the dyes, and their variation between laboratories."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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

# Harris haematoxylin in Pap stain transmits less blue than in H&E: nuclei are blue-black.
_PAP_HAEMATOXYLIN = np.array([0.650, 0.675, 0.370])

# Landini's second H&E vectors: the other end of the variation between laboratories.
_PURPLE_HAEMATOXYLIN = np.array([0.490, 0.769, 0.410])
_PURPLE_EOSIN = np.array([0.046, 0.842, 0.537])

_USUAL_LG_TO_E = 1.2
"""Light green to eosin in the reference stain, between EA50 and EA36."""


@dataclass(frozen=True, slots=True)
class Stain:
    """Stain of one laboratory.

    Attributes:
        name: ``pap`` or ``he``.
        od: Optical density per unit concentration, float32 [5 dyes, (R, G, B)], including the strength of the laboratory.
        white: Colour of empty glass, float32 [3], 0 to 255.
        cytoplasmic_haematoxylin: Concentration in cytoplasm after incomplete differentiation.
    """

    name: str
    od: npt.NDArray[np.float32]
    white: npt.NDArray[np.float32]
    cytoplasmic_haematoxylin: float


def _vectors(name: str, purple: float) -> npt.NDArray[np.float64]:
    """Optical density per unit concentration of the dyes in one stain, [5, 3].

    Args:
        name: ``pap`` or ``he``.
        purple: Position of H&E vectors between QuPath's (0) and Landini's (1).
    """
    vectors = _VECTORS.copy()
    if name == "pap":
        vectors[H] = _PAP_HAEMATOXYLIN
    else:
        vectors[H] += purple * (_PURPLE_HAEMATOXYLIN - vectors[H])
        vectors[E] += 0.5 * purple * (_PURPLE_EOSIN - vectors[E])
    return vectors


def reference_stain(name: str) -> Stain:
    """Reference stain, without variation between laboratories."""
    return Stain(name, _vectors(name, 0.4).astype(np.float32), np.full(3, 243.0, np.float32), 0.02)


def laboratory_stain(name: str, rng: np.random.Generator) -> Stain:
    """Draw the stain of a laboratory: vectors, strengths, glass colour, differentiation (SYNTHETIC.md B6)."""
    spread = rng.uniform(3.0, 6.0)
    alternatives = _vectors(name, float(rng.uniform(0.0, 0.8)))
    vectors = np.stack(
        [rotated_vector(vector, rng.normal(0.0, math.radians(spread)), rng) for vector in alternatives]
    )
    strength = np.exp(rng.normal(0.0, [0.18, 0.25, 0.25, 0.25, 0.05]))
    if name == "pap":  # EA50-like or EA36-like: light green to eosin 1.6 or 0.9 to 1
        ratio = (1.6 if rng.random() < 0.5 else 0.9) / _USUAL_LG_TO_E
        strength[LG] *= math.sqrt(ratio)
        strength[E] /= math.sqrt(ratio)
    white = np.clip(rng.normal(243.0, 3.0) + rng.uniform(-6.0, 6.0, 3), 228.0, 252.0)
    od = np.maximum(vectors, 0.01) * strength[:, None]
    return Stain(name, od.astype(np.float32), white.astype(np.float32), float(rng.uniform(0.0, 0.08)))


def rotated_vector(
    vector: npt.NDArray[np.float64], angle: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Rotate a vector by an angle (radians) around a random axis perpendicular to it."""
    axis = np.cross(vector, rng.standard_normal(3))
    axis /= np.linalg.norm(axis)
    return vector * np.cos(angle) + np.cross(axis, vector) * np.sin(angle)

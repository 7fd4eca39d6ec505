"""Stains of cytospins of cerebrospinal fluid: Papanicolaou (Pap) and May-Grünwald-Giemsa (MGG).

The colours follow medians of optical density measured on four real slides of two patients
(``experiments/csf_colours.py``). Haematoxylin stands for what stains nuclei, light green for what stains basophilic
cytoplasm, eosin for what stains pink, orange G for the stain of red cells, pigment for grains of precipitate.
"""

import math

import numpy as np
import numpy.typing as npt

from inkdot.synthetic.rendering.stains import PIGMENT, Stain, rotated_vector

_Vectors = npt.NDArray[np.float64]

# Optical density (R, G, B) per unit concentration, dyes in the order H, E, LG, OG, PIGMENT.
_PAP_BLUE: _Vectors = np.array(
    [
        [0.30, 0.323, 0.20],
        [0.55, 0.90, 0.66],
        [0.95, 0.93, 0.60],
        [0.37, 0.70, 0.65],
        [0.60, 0.68, 0.58],
    ]
)
_PAP_BROWN: _Vectors = np.array(
    [
        [0.287, 0.364, 0.275],
        [0.50, 0.92, 0.80],
        [0.88, 1.02, 0.83],
        [0.37, 0.70, 0.65],
        [0.60, 0.68, 0.58],
    ]
)
_MGG: _Vectors = np.array(
    [
        [0.281, 0.405, 0.190],
        [0.70, 1.20, 0.58],
        [0.90, 1.03, 0.51],
        [0.41, 0.40, 0.32],
        [0.62, 0.85, 0.45],
    ]
)
_SPREAD_DEGREES = (1.5, 3.0, 2.0, 2.0, 1.0)
"""Standard deviation of the hue of each dye between laboratories."""


def csf_vectors(name: str, brown: float = 0.0) -> _Vectors:
    """Optical density per unit concentration, [5 dyes, (R, G, B)].

    Args:
        name: ``pap`` or ``mgg``.
        brown: Nuclei in Pap from blue-grey (0) to purple-brown (1).
    """
    return _MGG.copy() if name == "mgg" else (1.0 - brown) * _PAP_BLUE + brown * _PAP_BROWN


def reference_csf_stain(name: str, brown: float = 0.0) -> Stain:
    """The stain without variation between laboratories; arguments as in :func:`csf_vectors`."""
    return Stain(name, csf_vectors(name, brown).astype(np.float32), np.full(3, 243.0, np.float32), 0.02)


def laboratory_csf_stain(name: str, rng: np.random.Generator) -> Stain:
    """Draw the stain of a laboratory: shade of the nuclei, hues, strengths and colour of the glass.

    Args:
        name: ``pap`` or ``mgg``.
        rng: Random generator of the laboratory.
    """
    vectors = csf_vectors(name, float(rng.uniform()))
    turned = np.stack(
        [
            rotated_vector(vector, rng.normal(0.0, math.radians(degrees)), rng)
            for vector, degrees in zip(vectors, _SPREAD_DEGREES, strict=True)
        ]
    )
    strength = np.exp(rng.normal(0.0, [0.12, 0.20, 0.15, 0.15, 0.05]))
    white = np.clip(rng.normal(241.0, 4.0) + rng.uniform(-2.0, 2.0, 3), 228.0, 250.0)
    od = np.maximum(turned, 0.01) * strength[:, None]
    return Stain(name, od.astype(np.float32), white.astype(np.float32), float(rng.uniform(0.0, 0.04)))


def protein_colour(name: str) -> npt.NDArray[np.float32]:
    """Optical density (R, G, B) of a sheet of protein."""
    return np.array([0.030, 0.053, 0.026] if name == "mgg" else [0.040, 0.044, 0.031], np.float32)


def fibre_colour(name: str) -> npt.NDArray[np.float32]:
    """Optical density (R, G, B) of one layer of a well stained fibre."""
    return np.array([0.36, 0.38, 0.22] if name == "mgg" else [0.32, 0.38, 0.26], np.float32)


def precipitate_colour(name: str, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Optical density (R, G, B) of precipitate: dark purple in MGG, grey-black in Pap."""
    return vectors[PIGMENT] if name == "mgg" else np.array([0.66, 0.70, 0.66], np.float32)

"""Textures of chromatin and cytoplasm: periodic noise fields, from which each cell gets a piece.

Fields are made at 0.125 µm/px and averaged to the mpp of the slide, so a scene has the same texture at every mpp.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

FIELD_SIDE_UM = 96.0
_FINE_MPP = 0.125
_NOISE_SEED = 0x7E87
_FINE_SIDE_PX = int(FIELD_SIDE_UM / _FINE_MPP)

Field = npt.NDArray[np.float32]


class Textures:
    """Noise fields by name, at the mpp of one slide.

    A field's value f multiplies a dye concentration as (1 + f); ``vesicular`` has a negative mean, the other
    fields a mean near 0.

    The noise is the same for all slides; each cell has its own position in it.

    Args:
        mpp: Micrometres per pixel to sample at.
    """

    def __init__(self, mpp: float) -> None:
        rng = np.random.default_rng(_NOISE_SEED)
        side_px = round(FIELD_SIDE_UM / mpp)
        self._side_px = side_px
        self._fields: dict[str, Field] = {}
        for name, make in _MAKERS.items():
            self._fields[name] = self._at_mpp(make(rng))

    def cut(self, name: str, seed: int, height: int, width: int) -> Field:
        """A piece of a field, [height, width]; a seed gives the same position in µm at every mpp."""
        if name not in self._fields:
            self._fields[name] = self._at_mpp(_RARE_MAKERS[name](np.random.default_rng(_NOISE_SEED)))
        side = self._side_px
        x = int((seed * 0.618033988749895 % 1.0) * side)
        y = int((seed * 0.754877666246693 % 1.0) * side)
        if height > side or width > side:
            reps = (-(-height // side) + 1, -(-width // side) + 1)
            return np.tile(self._fields[name][:side, :side], reps)[y : y + height, x : x + width]
        return self._fields[name][y : y + height, x : x + width]

    def _at_mpp(self, fine: Field) -> Field:
        """The field at the mpp of the slide, repeated so that every piece is one slice."""
        size = (self._side_px, self._side_px)
        small = cv2.resize(fine, size, interpolation=cv2.INTER_AREA)
        return np.tile(np.asarray(small, np.float32), (2, 2))


@lru_cache(maxsize=4)
def textures(mpp: float) -> Textures:
    """The noise fields at one mpp, cached per process: they take as long as a small slide."""
    return Textures(mpp)


def _smooth(rng: np.random.Generator, sigma_um: float) -> Field:
    """Periodic Gaussian noise of unit variance with a given correlation length."""
    noise = rng.standard_normal((_FINE_SIDE_PX, _FINE_SIDE_PX), dtype=np.float32)
    frequency = np.fft.fftfreq(_FINE_SIDE_PX, _FINE_MPP)
    half = np.fft.rfftfreq(_FINE_SIDE_PX, _FINE_MPP)
    power = frequency[:, None] ** 2 + half[None, :] ** 2
    filtered = np.fft.irfft2(
        np.fft.rfft2(noise) * np.exp(-2.0 * (np.pi * sigma_um) ** 2 * power), noise.shape
    )
    return (filtered / filtered.std()).astype(np.float32)


def _above(field: Field, threshold: float, softness: float = 0.35) -> Field:
    """A soft step: 1 above the threshold, 0 below."""
    return (1.0 / (1.0 + np.exp(-(field - threshold) / (softness / 4.0)))).astype(np.float32)


def _fine(rng: np.random.Generator) -> Field:
    """Salt-and-pepper chromatin: uniform fine stippling."""
    stipple = 0.17 * _smooth(rng, 0.30) + 0.30 * (_above(_smooth(rng, 0.34), 1.15) - 0.12)
    return (stipple + 0.06 * _smooth(rng, 1.2)).astype(np.float32)


def _coarse(rng: np.random.Generator) -> Field:
    """Coarse chromatin: irregular clumps of about 1 µm."""
    return (0.36 * np.tanh(1.7 * _smooth(rng, 0.55)) + 0.10 * _smooth(rng, 0.28)).astype(np.float32)


def _vesicular(rng: np.random.Generator) -> Field:
    """Vesicular chromatin: pale, with a few strands and clumps."""
    clumps = _above(_smooth(rng, 0.50), 1.35)
    strands = np.exp(-((_smooth(rng, 0.85) / 0.22) ** 2))
    return (-0.52 + 0.32 * clumps + 0.20 * strands + 0.05 * _smooth(rng, 0.30)).astype(np.float32)


def _smudged(rng: np.random.Generator) -> Field:
    """Smudged chromatin of resting lymphocytes and degenerate cells: nearly structureless."""
    return (0.07 * _smooth(rng, 0.9) + 0.03 * _smooth(rng, 0.3)).astype(np.float32)


def _reticular(rng: np.random.Generator) -> Field:
    """Reticular chromatin: a fine net."""
    net = np.exp(-((_smooth(rng, 0.55) / 0.45) ** 2))
    return (0.34 * (net - 0.42) + 0.06 * _smooth(rng, 0.3)).astype(np.float32)


def _granular(rng: np.random.Generator) -> Field:
    """Granular chromatin of air-dried and centrifuged cells: even, with slight clumps of 0.5 to 1 µm."""
    return (0.11 * _smooth(rng, 0.32) + 0.10 * np.tanh(1.5 * _smooth(rng, 0.75))).astype(np.float32)


def _cytoplasm(rng: np.random.Generator) -> Field:
    """Granularity of cytoplasm, about unit variance."""
    return (0.75 * _smooth(rng, 0.6) + 0.66 * _smooth(rng, 1.8)).astype(np.float32)


def _fibrils(rng: np.random.Generator) -> Field:
    """Noise of unit variance, stretched along x; for fibrin and stroma."""
    field = _smooth(rng, 0.5)
    stretched = cv2.resize(field[:, : _FINE_SIDE_PX // 6], (_FINE_SIDE_PX, _FINE_SIDE_PX))
    return np.asarray(stretched, np.float32)


_MAKERS: Mapping[str, Callable[[np.random.Generator], Field]] = {
    "fine": _fine,
    "coarse": _coarse,
    "vesicular": _vesicular,
    "smudged": _smudged,
    "reticular": _reticular,
    "cytoplasm": _cytoplasm,
    "fibrils": _fibrils,
}

_RARE_MAKERS: Mapping[str, Callable[[np.random.Generator], Field]] = {"granular": _granular}
"""Made on first use: most slides need none of them."""

"""Tissue between the nuclei of an H&E section: eosin, fibres and grain."""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.synthetic.cells.scene import Box, OdArray
from inkdot.synthetic.histology.tissue_plan import STEP_UM, FloatMap, RoundStructure, TissueClass, TissuePlan
from inkdot.synthetic.rendering.stains import E, H, Stain

_TEXTURE_STEP_UM = 0.5
_TEXTURE_SIDE = 512

# Concentrations of eosin and haematoxylin between the nuclei, weight of fibres, weight of grain.
_DYES_OF_CLASS: dict[TissueClass, tuple[float, float, float, float]] = {
    TissueClass.GLASS: (0.0, 0.0, 0.0, 0.0),
    TissueClass.STROMA: (0.30, 0.03, 0.55, 0.08),
    TissueClass.SMALL_CELL: (0.15, 0.12, 0.0, 0.30),
    TissueClass.LARGE_CELL: (0.17, 0.09, 0.0, 0.20),
    TissueClass.NECROSIS: (0.34, 0.03, 0.0, 0.36),
    TissueClass.LUMEN: (0.012, 0.0, 0.0, 0.3),
    TissueClass.GLAND: (0.16, 0.04, 0.0, 0.15),
    TissueClass.LYMPHOID: (0.20, 0.06, 0.15, 0.20),
    TissueClass.CRUSHED: (0.20, 0.22, 0.35, 0.20),
    TissueClass.SQUAMOUS: (0.20, 0.03, 0.0, 0.10),
    TissueClass.BASOPHILIC: (0.16, 0.55, 0.0, 0.20),
}


@dataclass(frozen=True, slots=True)
class Tissue:
    """Tissue between the nuclei of a section.

    Attributes:
        plan: Tissue plan.
        left_um: Left edge of the section on the slide.
        top_um: Upper edge of the section on the slide.
        stain: Stain of the laboratory.
        seed: Seed of fibres and grain.
    """

    plan: TissuePlan
    left_um: float
    top_um: float
    stain: Stain
    seed: int
    kind: str = "tissue"
    _dyes: FloatMap = field(init=False, repr=False)
    _fibre: FloatMap = field(init=False, repr=False)
    _grain: FloatMap = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Map the dyes, smoothed at borders, and make the textures."""
        table = np.array([_DYES_OF_CLASS[kind] for kind in TissueClass], np.float32)
        classes = self.plan.classes.copy()
        for (
            vessel
        ) in self.plan.vessels:  # lumina are smaller than the resolution of the plan: cut out of every tile
            vessel.fill(classes, 4.0, TissueClass.BASOPHILIC if vessel.basophilic else TissueClass.STROMA)
        for rosette in self.plan.rosettes:
            rosette.fill(classes, 4.0, TissueClass.LARGE_CELL)
        dyes = cv2.GaussianBlur(table[classes], (0, 0), 0.6)
        rng = np.random.default_rng([self.seed, 0x7155])
        object.__setattr__(self, "_dyes", np.asarray(dyes, np.float32))
        object.__setattr__(self, "_fibre", _fibre_field(rng))
        object.__setattr__(
            self, "_grain", _periodic(rng, 0.5) * 0.45 + _periodic(rng, 1.1) * 0.5 + _periodic(rng, 3.5) * 0.4
        )

    @property
    def box(self) -> Box:
        """Box of the section."""
        rows, columns = self.plan.classes.shape
        return Box(self.left_um, self.top_um, self.left_um + columns * STEP_UM, self.top_um + rows * STEP_UM)

    def optical_density(self, x_um: npt.NDArray[np.float32], y_um: npt.NDArray[np.float32]) -> OdArray:
        """Optical density of eosin and haematoxylin between the nuclei."""
        shape = (len(y_um), len(x_um))
        x = np.ascontiguousarray(np.broadcast_to((x_um - self.left_um)[None, :], shape), np.float32)
        y = np.ascontiguousarray(np.broadcast_to((y_um - self.top_um)[:, None], shape), np.float32)
        at = (x / np.float32(STEP_UM) - 0.5, y / np.float32(STEP_UM) - 0.5)
        dyes = np.asarray(
            cv2.remap(self._dyes, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.float32
        )
        for ring in (*self.plan.vessels, *self.plan.rosettes):
            _open(dyes, ring, x_um - self.left_um, y_um - self.top_um)
        cosine, sine = math.cos(self.plan.fibre_direction), math.sin(self.plan.fibre_direction)
        bend = np.asarray(cv2.remap(self.plan.bend_um, *at, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
        along, across = x * cosine + y * sine, -x * sine + y * cosine + bend
        fibre = _sample(self._fibre, along.astype(np.float32), across.astype(np.float32))
        grain = _sample(self._grain, x, y)
        shape_factor = np.maximum(1.0 + dyes[..., 2] * fibre + dyes[..., 3] * grain, 0.0)
        eosin, haematoxylin = dyes[..., 0] * shape_factor, dyes[..., 1] * np.maximum(1.0 + 0.4 * grain, 0.0)
        od = self.stain.od
        return (eosin[..., None] * od[E] + haematoxylin[..., None] * od[H]).astype(np.float32)


def _open(
    dyes: FloatMap, ring: RoundStructure, x_um: npt.NDArray[np.float32], y_um: npt.NDArray[np.float32]
) -> None:
    """Remove the dyes from a lumen, in place; the wall is 3 µm thick."""
    reach = 1.2 * ring.radius_um
    columns = np.flatnonzero(np.abs(x_um - ring.x_um) < reach)
    rows = np.flatnonzero(np.abs(y_um - ring.y_um) < reach)
    if not len(columns) or not len(rows):
        return
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    dx, dy = x_um[window[1]] - np.float32(ring.x_um), y_um[window[0]] - np.float32(ring.y_um)
    inner = ring.radii_at(np.arctan2(dy[:, None], dx[None, :])) - 3.0
    empty = np.clip(inner - np.hypot(dx[None, :], dy[:, None]) + 0.5, 0.0, 0.96)
    dyes[window] *= (1.0 - empty[..., None]).astype(np.float32)


def _sample(texture: FloatMap, x_um: FloatMap, y_um: FloatMap) -> FloatMap:
    """Sample a periodic texture at positions in µm."""
    period = np.float32(_TEXTURE_SIDE)
    u = np.mod(x_um / np.float32(_TEXTURE_STEP_UM), period).astype(np.float32)
    v = np.mod(y_um / np.float32(_TEXTURE_STEP_UM), period).astype(np.float32)
    return np.asarray(cv2.remap(texture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32)


def _periodic(rng: np.random.Generator, sigma_um: float, stretch: float = 1.0) -> FloatMap:
    """Periodic Gaussian noise of unit variance, stretched along x."""
    noise = rng.standard_normal((_TEXTURE_SIDE, _TEXTURE_SIDE))
    rows = np.fft.fftfreq(_TEXTURE_SIDE, _TEXTURE_STEP_UM)[:, None]
    columns = np.fft.fftfreq(_TEXTURE_SIDE, _TEXTURE_STEP_UM)[None, :] * stretch
    kernel = np.exp(-2.0 * (math.pi * sigma_um) ** 2 * (rows**2 + columns**2))
    smooth = np.fft.ifft2(np.fft.fft2(noise) * kernel).real
    return (smooth / smooth.std()).astype(np.float32)


def _fibre_field(rng: np.random.Generator) -> FloatMap:
    """Fibre bundles along x with clefts, about -2 to 1."""
    strands = 0.7 * _periodic(rng, 1.3, stretch=12.0) + 0.7 * _periodic(rng, 0.5, stretch=22.0)
    clefts = np.maximum(np.abs(_periodic(rng, 2.2, stretch=10.0)), 0.0) < 0.16
    return (
        0.75 * strands - 0.8 * np.asarray(cv2.GaussianBlur(clefts.astype(np.float32), (0, 0), 1.0))
    ).astype(np.float32)

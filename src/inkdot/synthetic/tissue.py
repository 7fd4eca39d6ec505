"""The ground plan of an H&E section: where tumour, stroma, necrosis and holes lie, and how they stain.

The plan is a map of one value per 4 µm; colour, fibres and grain are added per pixel when a tile is painted.
"""

import math
from dataclasses import dataclass, field
from enum import IntEnum

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.synthetic.scene import Box, OdArray
from inkdot.synthetic.stains import E, H, Stain

STEP_UM = 4.0
_TEXTURE_STEP_UM = 0.5
_TEXTURE_SIDE = 512

FloatMap = npt.NDArray[np.float32]
KindMap = npt.NDArray[np.uint8]


class Ground(IntEnum):
    """What a place of the section is."""

    GLASS = 0
    STROMA = 1
    SMALL_CELL = 2
    LARGE_CELL = 3
    NECROSIS = 4
    LUMEN = 5
    GLAND = 6
    LYMPHOID = 7
    CRUSHED = 8


TUMOUR_GROUND = (Ground.SMALL_CELL, Ground.LARGE_CELL)

# Concentrations of eosin and haematoxylin between the nuclei, weight of fibres, weight of grain.
_GROUND_DYES: dict[Ground, tuple[float, float, float, float]] = {
    Ground.GLASS: (0.0, 0.0, 0.0, 0.0),
    Ground.STROMA: (0.30, 0.03, 0.45, 0.10),
    Ground.SMALL_CELL: (0.14, 0.10, 0.0, 0.30),
    Ground.LARGE_CELL: (0.19, 0.05, 0.0, 0.25),
    Ground.NECROSIS: (0.36, 0.06, 0.0, 0.55),
    Ground.LUMEN: (0.015, 0.0, 0.0, 0.3),
    Ground.GLAND: (0.10, 0.06, 0.0, 0.15),
    Ground.LYMPHOID: (0.20, 0.06, 0.15, 0.20),
    Ground.CRUSHED: (0.22, 0.16, 0.35, 0.20),
}


@dataclass(frozen=True, slots=True)
class Gland:
    """A benign gland: a ring of columnar cells around a lumen.

    Attributes:
        x_um: Centre, from the section's corner.
        y_um: Centre, from the section's corner.
        radius_um: Outer radius.
    """

    x_um: float
    y_um: float
    radius_um: float


@dataclass(frozen=True, slots=True)
class GroundPlan:
    """Where everything lies, from the section's top left corner.

    Attributes:
        kinds: :class:`Ground` per 4 µm, uint8 [rows, columns].
        border_um: Distance from the nearest place that is not tumour, float32 [rows, columns].
        glands: Benign glands.
        vessels: Vessels, drawn like glands with a thin wall.
        fibre_direction: Main direction of the stroma's fibres in radians.
    """

    kinds: KindMap
    border_um: FloatMap
    glands: tuple[Gland, ...]
    vessels: tuple[Gland, ...]
    fibre_direction: float

    def kind_at(self, x_um: float, y_um: float) -> Ground:
        """What lies at a place; glass outside the plan."""
        row, column = int(y_um // STEP_UM), int(x_um // STEP_UM)
        if not (0 <= row < self.kinds.shape[0] and 0 <= column < self.kinds.shape[1]):
            return Ground.GLASS
        return Ground(int(self.kinds[row, column]))

    def inward(self, x_um: float, y_um: float) -> tuple[float, float]:
        """Distance to the border of the tumour, and the direction that leads away from it, in radians."""
        rows, columns = self.border_um.shape
        row = min(max(int(y_um // STEP_UM), 1), rows - 2)
        column = min(max(int(x_um // STEP_UM), 1), columns - 2)
        around = self.border_um[row - 1 : row + 2, column - 1 : column + 2]
        dx = float(around[:, 2].sum() - around[:, 0].sum())
        dy = float(around[2].sum() - around[0].sum())
        return float(around[1, 1]), math.atan2(dy, dx)


def draw_ground_plan(side_um: float, tumour: str, rng: np.random.Generator) -> GroundPlan:
    """Draw the plan of a square section.

    Args:
        side_um: Its side.
        tumour: ``small_cell``, ``large_cell``, ``mixed`` for both side by side, or empty.
        rng: Source of chance.
    """
    n = max(round(side_um / STEP_UM), 16)
    steps = np.linspace(-1.0, 1.0, n, dtype=np.float32)
    away = (steps[:, None] ** 4 + steps[None, :] ** 4) ** 0.25 + 0.035 * _noise(n, 140.0, rng)
    kinds = np.where(away < 0.88, Ground.STROMA, Ground.GLASS).astype(np.uint8)
    tissue = kinds == Ground.STROMA
    small, large = _tumour_fields(n, tumour, rng)
    kinds[small & tissue] = Ground.SMALL_CELL
    kinds[large & tissue] = Ground.LARGE_CELL
    lymphoid = (_noise(n, 160.0, rng) > rng.uniform(0.9, 2.2)) & (kinds == Ground.STROMA)
    kinds[lymphoid] = Ground.LYMPHOID
    _necrosis(kinds, rng)
    if tumour in {"small_cell", "mixed"}:
        crushed = (_noise(n, 90.0, rng) > rng.uniform(1.0, 1.7)) & (kinds == Ground.SMALL_CELL)
        kinds[crushed] = Ground.CRUSHED
    glands = _rings(kinds, int(rng.integers(6, 14)) if not tumour else _some(0.4, 5, rng), 40.0, 90.0, rng)
    vessels = _rings(kinds, int(rng.integers(1, 6)), 10.0, 28.0, rng)
    for ring in glands:
        _disc(kinds, ring, ring.radius_um, Ground.GLAND)
        _disc(kinds, ring, max(ring.radius_um - 22.0, 4.0), Ground.LUMEN)
    for ring in vessels:
        _disc(kinds, ring, ring.radius_um, Ground.STROMA)
        _disc(kinds, ring, ring.radius_um - 4.0, Ground.LUMEN)
    solid = np.isin(kinds, [Ground.SMALL_CELL, Ground.LARGE_CELL, Ground.NECROSIS, Ground.CRUSHED])
    border = cv2.distanceTransform(solid.astype(np.uint8), cv2.DIST_L2, 5)
    direction = float(rng.uniform(0.0, math.pi))
    return GroundPlan(kinds, np.asarray(border, np.float32) * np.float32(STEP_UM), glands, vessels, direction)


def _tumour_fields(
    n: int, tumour: str, rng: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Where small-cell sheets and large-cell nests lie, [n, n] each."""
    nothing = np.zeros((n, n), np.bool_)
    if not tumour:
        return nothing, nothing
    side = np.linspace(-1.0, 1.0, n, dtype=np.float32)[None, :] + 0.25 * _noise(n, 200.0, rng)
    where_small = {"small_cell": ~nothing, "large_cell": nothing, "mixed": side < 0.0}[tumour]
    where_large = {"small_cell": nothing, "large_cell": ~nothing, "mixed": side > 0.12}[tumour]
    sheet = _noise(n, 180.0, rng)
    cover = float(np.quantile(sheet, 1.0 - rng.uniform(0.62, 0.82)))
    return (sheet > cover) & where_small, _nests(n, rng) & where_large


def _nests(n: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Rounded nests of 80 to 300 µm between septa: cells of a Voronoi diagram, shrunk."""
    pitch = rng.uniform(130.0, 260.0) / STEP_UM
    seeds = np.ones((n, n), np.uint8)
    for k, row in enumerate(np.arange(-pitch, n, pitch * 0.87)):
        for column in np.arange(-pitch * (1 + k % 2 / 2), n, pitch):
            x, y = (column + rng.uniform(0, pitch * 0.8), row + rng.uniform(0, pitch * 0.7))
            if 0 <= x < n and 0 <= y < n:
                seeds[int(y), int(x)] = 0
    _, found = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    labels = np.asarray(found, np.int32)
    border = np.zeros((n, n), np.bool_)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    kept = rng.random(int(labels.max()) + 1) > 0.12
    depth = (
        np.asarray(cv2.distanceTransform((~border).astype(np.uint8), cv2.DIST_L2, 5), np.float32) * STEP_UM
    )
    septum = rng.uniform(13.0, 22.0) + 4.0 * _noise(n, 60.0, rng)
    inside = ((depth > septum) & kept[labels]).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(inside, (0, 0), 12.0 / STEP_UM)) > 0.5


def _necrosis(kinds: KindMap, rng: np.random.Generator) -> None:
    """Turn the tumour's inner parts to necrosis, with a map-like edge: 10 to 35 % of large, 5 to 25 % of small."""
    solid = np.isin(kinds, TUMOUR_GROUND)
    if not solid.any():
        return
    large = kinds == Ground.LARGE_CELL
    share = rng.uniform(0.10, 0.35) if large.sum() > solid.sum() / 2 else rng.uniform(0.05, 0.25)
    depth = np.asarray(cv2.distanceTransform(solid.astype(np.uint8), cv2.DIST_L2, 5), np.float32) * STEP_UM
    rank = depth / 45.0 + 0.9 * _noise(kinds.shape[0], 130.0, rng) + 0.15 * _noise(kinds.shape[0], 25.0, rng)
    rank[~solid | (depth < 18.0)] = -np.inf
    level = float(np.quantile(rank[solid], 1.0 - share))
    if np.isfinite(level):
        kinds[rank > level] = Ground.NECROSIS


def _rings(
    kinds: KindMap, count: int, low_um: float, high_um: float, rng: np.random.Generator
) -> tuple[Gland, ...]:
    """Places for round things that fit into stroma; fewer where stroma is scarce."""
    stroma = np.isin(kinds, [Ground.STROMA, Ground.LYMPHOID]).astype(np.uint8)
    rings: list[Gland] = []
    for _ in range(count):
        room = np.asarray(cv2.distanceTransform(stroma, cv2.DIST_L2, 5), np.float32) * STEP_UM
        rows, columns = np.nonzero(room > low_um + 6.0)
        if not len(rows):
            break
        k = int(rng.integers(len(rows)))
        radius = min(float(rng.uniform(low_um, high_um)), float(room[rows[k], columns[k]]) - 6.0)
        ring = Gland(float(columns[k] + 0.5) * STEP_UM, float(rows[k] + 0.5) * STEP_UM, radius)
        _disc(stroma, ring, radius + 10.0, 0)
        rings.append(ring)
    return tuple(rings)


def _some(chance: float, most: int, rng: np.random.Generator) -> int:
    return int(rng.integers(1, most + 1)) if rng.random() < chance else 0


def _disc(kinds: KindMap, ring: Gland, radius_um: float, value: int) -> None:
    centre = (round(ring.x_um / STEP_UM - 0.5), round(ring.y_um / STEP_UM - 0.5))
    cv2.circle(kinds, centre, max(round(radius_um / STEP_UM), 1), int(value), thickness=-1)


def _noise(n: int, scale_um: float, rng: np.random.Generator) -> FloatMap:
    """Smooth noise of about unit variance, [n, n]."""
    coarse = max(round(n * STEP_UM / scale_um), 2) + 3
    grid = rng.standard_normal((coarse, coarse)).astype(np.float32)
    smooth = np.asarray(cv2.resize(grid, (n, n), interpolation=cv2.INTER_CUBIC), np.float32)
    return smooth / np.float32(max(float(smooth.std()), 1e-6))


@dataclass(frozen=True, slots=True)
class Tissue:
    """Everything between the nuclei of a section: eosin, fibres, grain.

    Attributes:
        plan: Where what lies.
        left_um: Left edge of the section on the slide.
        top_um: Upper edge of the section on the slide.
        stain: The laboratory's dyes.
        seed: Seed of fibres and grain.
    """

    plan: GroundPlan
    left_um: float
    top_um: float
    stain: Stain
    seed: int
    kind: str = "tissue"
    _dyes: FloatMap = field(init=False, repr=False)
    _fibre: FloatMap = field(init=False, repr=False)
    _grain: FloatMap = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Look up the dyes of every place, softened at borders, and make the textures."""
        table = np.array([_GROUND_DYES[ground] for ground in Ground], np.float32)
        dyes = cv2.GaussianBlur(table[self.plan.kinds], (0, 0), 0.6)
        rng = np.random.default_rng([self.seed, 0x7155])
        object.__setattr__(self, "_dyes", np.asarray(dyes, np.float32))
        object.__setattr__(self, "_fibre", _fibre_field(rng))
        object.__setattr__(self, "_grain", _periodic(rng, 1.1) * 0.6 + _periodic(rng, 3.5) * 0.5)

    @property
    def box(self) -> Box:
        """The section."""
        rows, columns = self.plan.kinds.shape
        return Box(self.left_um, self.top_um, self.left_um + columns * STEP_UM, self.top_um + rows * STEP_UM)

    def optical_density(self, x_um: npt.NDArray[np.float32], y_um: npt.NDArray[np.float32]) -> OdArray:
        """Eosin and haematoxylin between the nuclei."""
        shape = (len(y_um), len(x_um))
        x = np.ascontiguousarray(np.broadcast_to((x_um - self.left_um)[None, :], shape), np.float32)
        y = np.ascontiguousarray(np.broadcast_to((y_um - self.top_um)[:, None], shape), np.float32)
        at = (x / np.float32(STEP_UM) - 0.5, y / np.float32(STEP_UM) - 0.5)
        dyes = np.asarray(
            cv2.remap(self._dyes, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.float32
        )
        cosine, sine = math.cos(self.plan.fibre_direction), math.sin(self.plan.fibre_direction)
        # Fibres run along one direction and are bent by slow waves.
        bend = 16.0 * np.sin((x * sine - y * cosine) / 61.0) + 9.0 * np.sin((x * cosine + y * sine) / 43.0)
        along, across = x * cosine + y * sine, -x * sine + y * cosine + bend
        fibre = _sample(self._fibre, along.astype(np.float32), across.astype(np.float32))
        grain = _sample(self._grain, x, y)
        shape_factor = np.maximum(1.0 + dyes[..., 2] * fibre + dyes[..., 3] * grain, 0.0)
        eosin, haematoxylin = dyes[..., 0] * shape_factor, dyes[..., 1] * np.maximum(1.0 + 0.4 * grain, 0.0)
        od = self.stain.od
        return (eosin[..., None] * od[E] + haematoxylin[..., None] * od[H]).astype(np.float32)


def _sample(texture: FloatMap, x_um: FloatMap, y_um: FloatMap) -> FloatMap:
    """A periodic texture at places in µm."""
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
    """Bundles along x with clefts between them, about -2 to 1."""
    strands = _periodic(rng, 1.2, stretch=14.0)
    clefts = np.maximum(np.abs(_periodic(rng, 2.2, stretch=10.0)), 0.0) < 0.16
    return (
        0.75 * strands - 1.0 * np.asarray(cv2.GaussianBlur(clefts.astype(np.float32), (0, 0), 1.0))
    ).astype(np.float32)

"""The ground plan of an H&E section: where tumour, stroma, necrosis and holes lie, one value per 4 µm."""

import math
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
import numpy.typing as npt

STEP_UM = 4.0
P_TEAR = 0.2
"""Share of sections with a tear."""

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
        rosettes: Small lumina inside nests of large cells, which stand around them.
        fibre_direction: Main direction of the stroma's fibres in radians.
    """

    kinds: KindMap
    border_um: FloatMap
    glands: tuple[Gland, ...]
    vessels: tuple[Gland, ...]
    rosettes: tuple[Gland, ...]
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
    if rng.random() < P_TEAR:
        _tear(kinds, rng)
    solid = np.isin(kinds, [Ground.SMALL_CELL, Ground.LARGE_CELL, Ground.NECROSIS, Ground.CRUSHED])
    border = cv2.distanceTransform(solid.astype(np.uint8), cv2.DIST_L2, 5)
    border_um = np.asarray(border, np.float32) * np.float32(STEP_UM)
    rosettes = _rosettes(kinds, border_um, rng)
    for ring in rosettes:
        _disc(kinds, ring, ring.radius_um, Ground.LUMEN)
    direction = float(rng.uniform(0.0, math.pi))
    return GroundPlan(kinds, border_um, glands, vessels, rosettes, direction)


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


def _tear(kinds: KindMap, rng: np.random.Generator) -> None:
    """A cleft of empty glass through the section, along a bent line."""
    n = kinds.shape[0]
    rows, columns = np.mgrid[0:n, 0:n].astype(np.float32) / np.float32(n) - np.float32(0.5)
    angle, bend = rng.uniform(0.0, math.pi), rng.uniform(-0.8, 0.8)
    along = columns * math.cos(angle) + rows * math.sin(angle)
    across = -columns * math.sin(angle) + rows * math.cos(angle) + bend * along**2 + rng.uniform(-0.2, 0.2)
    width_um = rng.uniform(8.0, 30.0) * (1.0 + 0.4 * _noise(n, 80.0, rng))
    start = rng.uniform(-0.5, 0.1)
    torn = (np.abs(across) * n * STEP_UM < width_um / 2.0) & (along > start) & (along < start + 0.4)
    kinds[torn] = Ground.GLASS


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


def _rosettes(kinds: KindMap, border_um: FloatMap, rng: np.random.Generator) -> tuple[Gland, ...]:
    """About one rosette per eight nests, at least 30 µm inside and clear of each other."""
    room = (kinds == Ground.LARGE_CELL) & (border_um > 30.0)
    nests = float((kinds == Ground.LARGE_CELL).sum()) * STEP_UM**2 / 25_000.0
    rosettes: list[Gland] = []
    for _ in range(round(nests * rng.uniform(0.1, 0.5))):
        rows, columns = np.nonzero(room)
        if not len(rows):
            break
        k = int(rng.integers(len(rows)))
        ring = Gland(
            float(columns[k] + 0.5) * STEP_UM, float(rows[k] + 0.5) * STEP_UM, float(rng.uniform(5, 9))
        )
        free = room.astype(np.uint8)
        _disc(free, ring, 60.0, 0)
        room = free.astype(np.bool_)
        rosettes.append(ring)
    return tuple(rosettes)


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

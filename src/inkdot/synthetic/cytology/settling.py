"""Positions of cells on a cell spot: nearly uniform, with slight clustering and nearly empty lanes."""

import math
from dataclasses import dataclass

import numpy as np

_GRID_UM = 40.0
_ATTEMPTS = 40
_IN_PATCHES = 0.2
"""Share of single cells in one of 24 denser patches (as in a Matérn cluster process)."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A curved stripe across the spot with hardly any cells.

    Attributes:
        direction: Direction in radians.
        offset_um: Distance of its middle line from the centre of the spot.
        half_width_um: Half its width.
        bend_per_um: Half its curvature in 1/µm.
    """

    direction: float
    offset_um: float
    half_width_um: float
    bend_per_um: float

    def holds(self, dx_um: float, dy_um: float) -> bool:
        """Whether a position, relative to the centre of the spot, lies in the lane."""
        along = dx_um * math.cos(self.direction) + dy_um * math.sin(self.direction)
        across = -dx_um * math.sin(self.direction) + dy_um * math.cos(self.direction)
        return abs(across - self.offset_um - self.bend_per_um * along**2) < self.half_width_um


class CellSpotArea:
    """The round area of a spot and its occupied places.

    Args:
        x_um: Centre.
        y_um: Centre.
        radius_um: Radius.
        rng: Random generator.
    """

    def __init__(self, x_um: float, y_um: float, radius_um: float, rng: np.random.Generator) -> None:
        self.x_um, self.y_um, self.radius_um = x_um, y_um, radius_um
        self._rng = rng
        self._taken: dict[tuple[int, int], list[tuple[float, float, float]]] = {}
        self.lanes = tuple(self._draw_lane() for _ in range(int(rng.integers(0, 3))))
        self._patches = [(*self._anywhere(0.0, 0.0), rng.uniform(0.04, 0.10) * radius_um) for _ in range(24)]

    def settle(
        self, reach_um: float, gap_um: float = 1.0, innermost: float = 0.0, *, single: bool = False
    ) -> tuple[float, float]:
        """Find a free place for a disc and occupy it; after 40 attempts it may overlap others.

        Args:
            reach_um: Radius of the disc.
            gap_um: Free distance around it.
            innermost: Smallest distance from the centre, as a fraction (0 to 1) of the radius of the spot.
            single: A single cell, which may lie in a denser patch.

        Returns:
            Its centre (x, y) in µm.
        """
        patch = None
        if single and innermost <= 0.0 and self._rng.random() < _IN_PATCHES:
            patch = self._patches[int(self._rng.integers(len(self._patches)))]
        x, y = self.x_um, self.y_um
        for _ in range(_ATTEMPTS):
            x, y = self._anywhere(reach_um, innermost) if patch is None else self._in_patch(patch, reach_um)
            in_lane = any(lane.holds(x - self.x_um, y - self.y_um) for lane in self.lanes)
            if (not in_lane or self._rng.random() < 0.05) and self._free(x, y, reach_um + gap_um):
                break
        self._take(x, y, reach_um)
        return x, y

    def _draw_lane(self) -> Lane:
        rng, radius = self._rng, self.radius_um
        return Lane(
            float(rng.uniform(0.0, math.pi)),
            float(rng.uniform(-0.7, 0.7) * radius),
            float(rng.uniform(0.012, 0.035) * radius),
            float(rng.normal(0.0, 0.15) / radius),
        )

    def _anywhere(self, reach_um: float, innermost: float) -> tuple[float, float]:
        away = max(self.radius_um - reach_um, 0.0) * math.sqrt(self._rng.uniform(innermost**2, 1.0))
        direction = self._rng.uniform(0.0, 2.0 * math.pi)
        return self.x_um + away * math.cos(direction), self.y_um + away * math.sin(direction)

    def _in_patch(self, patch: tuple[float, float, float], reach_um: float) -> tuple[float, float]:
        x, y, radius = patch
        away = radius * math.sqrt(self._rng.random())
        direction = self._rng.uniform(0.0, 2.0 * math.pi)
        x, y = x + away * math.cos(direction), y + away * math.sin(direction)
        outside = math.hypot(x - self.x_um, y - self.y_um) > self.radius_um - reach_um
        return self._anywhere(reach_um, 0.0) if outside else (x, y)

    def _cells(self, x: float, y: float, reach: float) -> list[tuple[int, int]]:
        columns = range(int((x - reach) // _GRID_UM), int((x + reach) // _GRID_UM) + 1)
        rows = range(int((y - reach) // _GRID_UM), int((y + reach) // _GRID_UM) + 1)
        return [(column, row) for column in columns for row in rows]

    def _free(self, x: float, y: float, reach: float) -> bool:
        for at in self._cells(x, y, reach):
            for other_x, other_y, other_reach in self._taken.get(at, ()):
                if (x - other_x) ** 2 + (y - other_y) ** 2 < (reach + other_reach) ** 2:
                    return False
        return True

    def _take(self, x: float, y: float, reach: float) -> None:
        for at in self._cells(x, y, reach):
            self._taken.setdefault(at, []).append((x, y, reach))

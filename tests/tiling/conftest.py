"""Glass with noise, and stained things painted on it."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

GLASS = (243.0, 241.0, 238.0)
HAEMATOXYLIN = (0.651, 0.701, 0.290)
EOSIN = (0.216, 0.801, 0.558)
BLACK = (1.0, 1.0, 1.0)


class Scene:
    """Optical densities on glass, painted in micrometres, rendered as uint8 RGB."""

    def __init__(self, width_um: float, height_um: float, mpp: float, noise: float = 2.0) -> None:
        self.mpp = mpp
        self.noise = noise
        self.shape = (round(height_um / mpp), round(width_um / mpp))
        self.od = np.zeros((*self.shape, 3), np.float32)

    def disc(
        self, x_um: float, y_um: float, diameter_um: float, strength: float, stain: tuple[float, ...]
    ) -> None:
        reach = diameter_um / 2 + self.mpp
        left, right = (max(0, round(value / self.mpp)) for value in (x_um - reach, x_um + reach))
        top, bottom = (max(0, round(value / self.mpp)) for value in (y_um - reach, y_um + reach))
        window = self.od[top:bottom, left:right]
        y, x = np.ogrid[top : top + window.shape[0], left : left + window.shape[1]]
        inside = ((x + 0.5) * self.mpp - x_um) ** 2 + ((y + 0.5) * self.mpp - y_um) ** 2
        window[inside <= (diameter_um / 2) ** 2] += strength * np.asarray(stain, np.float32)

    def box(
        self, x_um: float, y_um: float, w_um: float, h_um: float, strength: float, stain: tuple[float, ...]
    ) -> None:
        x, y, w, h = (round(value / self.mpp) for value in (x_um, y_um, w_um, h_um))
        self.od[y : y + h, x : x + w] += strength * np.asarray(stain, np.float32)

    def render(self, blur_um: float = 0.3, glass: tuple[float, ...] = GLASS) -> np.ndarray:
        od = cv2.GaussianBlur(self.od, (0, 0), blur_um / self.mpp)
        noise = np.random.default_rng(0).normal(0.0, self.noise, od.shape)
        return np.clip(np.rint(np.asarray(glass) * 10.0**-od + noise), 0, 255).astype(np.uint8)


@pytest.fixture
def scene() -> Callable[..., Scene]:
    return Scene


@pytest.fixture
def stains() -> dict[str, tuple[float, ...]]:
    return {"haematoxylin": HAEMATOXYLIN, "eosin": EOSIN, "black": BLACK}

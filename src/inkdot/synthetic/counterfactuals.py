"""Counterfactual pairs: the same slide with one change, for tests of what a pipeline reacts to."""

from dataclasses import replace

import numpy as np

from inkdot.synthetic.cells.scene import Box, Scene
from inkdot.synthetic.cohort.truth import MALIGNANT
from inkdot.synthetic.cytology.confounders import draw_precipitate


def without_tumour(scene: Scene) -> Scene:
    """The scene without its tumour cells and all other cells of their clusters; everything else is unchanged."""
    clusters = {cell.cluster for cell in scene.cells if cell.kind in MALIGNANT} - {-1}
    remaining = [cell for cell in scene.cells if cell.kind not in MALIGNANT and cell.cluster not in clusters]
    return replace(
        scene, cells=tuple(remaining), clusters=tuple(c for c in scene.clusters if c.number not in clusters)
    )


def without_class(scene: Scene, kind: str) -> Scene:
    """The scene without the cells of one class."""
    remaining = tuple(cell for cell in scene.cells if cell.kind != kind)
    left = {cell.cluster for cell in remaining}
    return replace(scene, cells=remaining, clusters=tuple(c for c in scene.clusters if c.number in left))


def with_precipitate(scene: Scene, seed: int, per_mm2: float = 400.0) -> Scene:
    """The scene with clouds of stain precipitate over it."""
    side = min(scene.width_um, scene.height_um)
    grains = draw_precipitate(Box(0.0, 0.0, side, side), np.random.default_rng([seed, 0x9C1]), per_mm2)
    return replace(scene, cells=(*scene.cells, *grains))

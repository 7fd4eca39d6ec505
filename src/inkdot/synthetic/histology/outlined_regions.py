"""Regions of a section, as a pathologist would outline them, from its tissue plan."""

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import Polygon

from inkdot.synthetic.cells.scene import Region
from inkdot.synthetic.histology.tissue_plan import STEP_UM, TUMOUR_WITH_NECROSIS, TissueClass, TissuePlan


def draw_regions(tissue_plan: TissuePlan, margin_um: float) -> tuple[Region, ...]:
    """Regions of tumour by kind, with its necrosis and crushed parts, and of benign tissue."""
    solid = np.isin(tissue_plan.classes, TUMOUR_WITH_NECROSIS)
    benign = np.isin(
        tissue_plan.classes,
        [TissueClass.STROMA, TissueClass.GLAND, TissueClass.LYMPHOID, TissueClass.LUMEN],
    )
    count, labels = cv2.connectedComponents(solid.astype(np.uint8), connectivity=4)
    fields = np.asarray(labels, np.int32)
    regions: list[Region] = []
    for number in range(1, count):
        field = fields == number
        inside = tissue_plan.classes[field]
        small = int(np.isin(inside, [TissueClass.SMALL_CELL, TissueClass.CRUSHED]).sum())
        large = int((inside == TissueClass.LARGE_CELL).sum())
        if small + large:
            kind = (
                "region_small_nec"
                if small > 4 * large
                else "region_large_nec"
                if large > 4 * small
                else "region_mixed_nec"
            )
            regions += [Region(kind, polygon) for polygon in _outlines(field, margin_um)]
    return (*regions, *(Region("region_benign", polygon) for polygon in _outlines(benign, margin_um)))


def _outlines(mask: npt.NDArray[np.bool_], margin_um: float) -> list[Polygon]:
    """Polygons with holes around a mask, in µm on the slide; those below 2,000 µm² are left out."""
    contours, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    polygons: list[Polygon] = []
    for k, contour in enumerate(contours):
        if tree[0][k][3] >= 0 or len(contour) < 4:
            continue
        holes = [contours[j] for j in range(len(contours)) if tree[0][j][3] == k and len(contours[j]) >= 4]
        rings = [
            np.asarray(ring, float).reshape(-1, 2) * STEP_UM + STEP_UM / 2.0 + margin_um
            for ring in (contour, *holes)
        ]
        polygon = Polygon(rings[0], rings[1:]).buffer(0.0)
        pieces = shapely.get_parts(polygon).tolist()
        polygons += [piece for piece in pieces if isinstance(piece, Polygon) and piece.area > 2000.0]
    return polygons

"""Ground truth of a synthetic slide: a table of all objects, and the labels that follow from it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
import shapely
import shapely.affinity
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from inkdot.synthetic.cells.scene import NO_CLUSTER, Cell, OutlinedBackdrop, Scene
from inkdot.synthetic.cells.shapes import area_um2, equivalent_diameter_um, polygon_um
from inkdot.synthetic.rendering.paint import in_focus

TRUTH_VERSION = "inkdot.truth/1"

MORPHOLOGY_OF = {
    "small_nec": "small_cell",
    "large_nec": "large_cell",
    "region_small_nec": "small_cell",
    "region_large_nec": "large_cell",
    "region_mixed_nec": "mixed",
}
MALIGNANT = frozenset({*MORPHOLOGY_OF, "adenocarcinoma", "lymphoma"})
_WITHOUT_LABEL = frozenset(
    {"red_cell", "apoptotic_body", "precipitate", "ghost", "nuclear_dust", "nuclear_streak", "smudged_cell"}
)
_REGION = "region_"

SCHEMA = pa.schema(
    [
        pa.field("object_id", pa.int32(), nullable=False),
        pa.field("class", pa.string(), nullable=False),
        pa.field("malignant", pa.bool_(), nullable=False),
        pa.field("cluster_id", pa.int32()),
        pa.field("cluster_kind", pa.string()),
        pa.field("x_um", pa.float32(), nullable=False),
        pa.field("y_um", pa.float32(), nullable=False),
        pa.field("z_um", pa.float32(), nullable=False),
        pa.field("in_focus", pa.bool_(), nullable=False),
        pa.field("x_l0_px", pa.int32(), nullable=False),
        pa.field("y_l0_px", pa.int32(), nullable=False),
        pa.field("nuclear_diameter_um", pa.float32()),
        pa.field("nuclear_area_um2", pa.float32()),
        pa.field("cell_diameter_um", pa.float32(), nullable=False),
        pa.field("nc_ratio", pa.float32()),
        pa.field("haematoxylin", pa.float32()),
        pa.field("chromatin", pa.string()),
        pa.field("nucleoli", pa.int16()),
        pa.field("vacuoles", pa.int16()),
        pa.field("state", pa.string()),
        pa.field("outline_l0_px", pa.string(), nullable=False),
    ]
)
"""One row per object. Lengths in µm, ``_l0_px`` in level-0 pixels; ``outline_l0_px`` is a WKT polygon of the cell
(of a naked nucleus); nuclear columns are null without a nucleus; nc_ratio is a ratio of diameters (0 to 1); cluster
columns are null outside of clusters; state is intact, dividing or degenerate. To the right of a stitching error, level-0
pixels include its shift, micrometres do not."""


_Outlined = tuple[str, BaseGeometry, BaseGeometry]
"""Class, outline in µm, outline in level-0 pixels."""


def truth_table(scene: Scene, mpp: float, focus_um: float = 0.0) -> pa.Table:
    """Table of all objects of a scene, as :data:`SCHEMA`, in the order of the scene.

    Args:
        scene: The scene.
        mpp: Micrometres per level-0 pixel, for the pixel columns.
        focus_um: Height of the focal plane, for ``in_focus``.
    """
    kinds = {cluster.number: cluster.kind for cluster in scene.clusters}
    rows = [
        _row(number, cell, kinds, mpp, focus_um, _shift_px(scene, cell))
        for number, cell in enumerate(scene.cells)
    ]
    larger: list[_Outlined] = [
        (region.kind, region.outline, _scaled(region.outline, mpp)) for region in scene.regions
    ]
    for thing in scene.backdrop:
        if isinstance(thing, OutlinedBackdrop):
            larger.append((thing.kind, thing.outline, _on_grid(_scaled(thing.outline, mpp))))
        else:
            box = shapely.box(thing.box.left_um, thing.box.top_um, thing.box.right_um, thing.box.bottom_um)
            larger.append((thing.kind, box, _scaled(box, mpp)))
    rows += [_large_row(len(rows) + k, *one, mpp) for k, one in enumerate(larger)]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _shift_px(scene: Scene, cell: Cell) -> int:
    """Downward shift of a cell by a stitching error to its left."""
    return scene.seam.shift_px if scene.seam is not None and cell.x_um >= scene.seam.x_um else 0


def _row(
    number: int, cell: Cell, kinds: dict[int, str], mpp: float, focus_um: float, shift_px: int
) -> dict[str, object]:
    area = sum(area_um2(nucleus.outline) for nucleus in cell.nuclei)
    nuclear = 2.0 * math.sqrt(area / math.pi) if cell.nuclei else None
    body = equivalent_diameter_um(cell.cytoplasm.outline) if cell.cytoplasm is not None else nuclear
    if body is None:
        raise AssertionError("a cell has a nucleus or cytoplasm")
    in_cluster = cell.cluster != NO_CLUSTER
    first = cell.nuclei[0] if cell.nuclei else None
    return {
        "object_id": number,
        "class": cell.kind,
        "malignant": cell.kind in MALIGNANT,
        "cluster_id": cell.cluster if in_cluster else None,
        "cluster_kind": kinds[cell.cluster] if in_cluster else None,
        "x_um": cell.x_um,
        "y_um": cell.y_um,
        "z_um": cell.z_um,
        "in_focus": in_focus(cell.z_um - focus_um),
        "x_l0_px": round(cell.x_um / mpp),
        "y_l0_px": round(cell.y_um / mpp) + shift_px,
        "nuclear_diameter_um": nuclear,
        "nuclear_area_um2": area if cell.nuclei else None,
        "cell_diameter_um": max(body, nuclear or 0.0),
        "nc_ratio": min(nuclear / body, 1.0) if nuclear is not None else None,
        "haematoxylin": first.haematoxylin if first is not None else None,
        "chromatin": first.chromatin if first is not None else None,
        "nucleoli": len(first.nucleoli) if first is not None else None,
        "vacuoles": len(cell.vacuoles),
        "state": cell.state,
        "outline_l0_px": shapely.to_wkt(_outline(cell, mpp, shift_px), rounding_precision=1, trim=True),
    }


def _on_grid(outline_px: BaseGeometry) -> BaseGeometry:
    """A valid outline on the grid of the WKT; rounding alone would make some outlines invalid."""
    return shapely.set_precision(outline_px, 0.1)  # pyright: ignore[reportUnknownMemberType]


def _scaled(outline: BaseGeometry, mpp: float) -> BaseGeometry:
    """An outline in level-0 pixels."""
    return shapely.affinity.scale(outline, 1.0 / mpp, 1.0 / mpp, origin=(0.0, 0.0))


def _large_row(
    number: int, kind: str, outline: BaseGeometry, outline_px: BaseGeometry, mpp: float
) -> dict[str, object]:
    """Row of a region or of another object, from its outline in µm and in level-0 pixels."""
    centre = outline.centroid
    return {
        "object_id": number,
        "class": kind,
        "malignant": kind in MALIGNANT,
        "x_um": centre.x,
        "y_um": centre.y,
        "z_um": 0.0,
        "in_focus": True,
        "x_l0_px": round(centre.x / mpp),
        "y_l0_px": round(centre.y / mpp),
        "cell_diameter_um": 2.0 * math.sqrt(outline.area / math.pi),
        "outline_l0_px": shapely.to_wkt(outline_px, rounding_precision=1, trim=True),
    }


def _outline(cell: Cell, mpp: float, shift_px: int) -> BaseGeometry:
    """The cell's outline in level-0 pixels."""
    if cell.cytoplasm is not None:
        points = polygon_um(cell.cytoplasm.outline, cell.x_um, cell.y_um, every=4)
    else:
        nucleus = cell.nuclei[0]
        points = polygon_um(nucleus.outline, cell.x_um + nucleus.dx_um, cell.y_um + nucleus.dy_um, every=4)
    return Polygon(points / mpp + np.array([0.0, shift_px]))


@dataclass(frozen=True, slots=True)
class TrueLabel:
    """Label of one region.

    Attributes:
        geometry: Polygon in level-0 pixels with whole coordinates.
        head: ``malignancy`` or ``morphology``.
        label: Label of the head.
    """

    geometry: BaseGeometry
    head: str
    label: str


def true_labels(truth: pa.Table) -> Iterator[TrueLabel]:
    """Labels of every nucleated cluster and single cell; on sections, of every region.

    A cluster is malignant when any of its cells is. Its morphology is that of its cells, ``mixed`` where they differ.
    """
    clusters: dict[int, list[dict[str, object]]] = {}
    alone: list[list[dict[str, object]]] = []
    rows = truth.to_pylist()
    on_section = any(str(row["class"]).startswith(_REGION) for row in rows)
    for row in rows:
        is_region = str(row["class"]).startswith(_REGION)
        if on_section and not is_region:
            continue
        if not is_region and (row["nuclear_diameter_um"] is None or row["class"] in _WITHOUT_LABEL):
            continue
        if row["cluster_id"] is None:
            alone.append([row])
        else:
            clusters.setdefault(cast("int", row["cluster_id"]), []).append(row)
    for members in [clusters[number] for number in sorted(clusters)] + alone:
        outline = _label_outline(members)
        malignant = any(bool(row["malignant"]) for row in members)
        yield TrueLabel(outline, "malignancy", "malignant" if malignant else "benign")
        kinds = {MORPHOLOGY_OF[str(row["class"])] for row in members if str(row["class"]) in MORPHOLOGY_OF}
        if kinds:
            yield TrueLabel(outline, "morphology", kinds.pop() if len(kinds) == 1 else "mixed")


def slide_labels(truth: pa.Table) -> dict[str, str]:
    """Label of the slide by head; `morphology` only where there are tumour cells with a morphology."""
    classes = set(cast("list[str]", truth.column("class").to_pylist()))
    labels = {"malignancy": "malignant" if classes & MALIGNANT else "benign"}
    kinds = {MORPHOLOGY_OF[name] for name in classes if name in MORPHOLOGY_OF}
    if kinds:
        labels["morphology"] = kinds.pop() if len(kinds) == 1 else "mixed"
    return labels


def _label_outline(members: list[dict[str, object]]) -> BaseGeometry:
    """One polygon around the members, grown by two pixels, in whole pixels; a region keeps its holes."""
    if len(members) == 1 and str(members[0]["class"]).startswith(_REGION):
        return shapely.from_wkt(str(members[0]["outline_l0_px"]))
    outlines = [shapely.from_wkt(str(row["outline_l0_px"])) for row in members]
    together = shapely.union_all([shapely.make_valid(outline) for outline in outlines]).buffer(
        2.0, quad_segs=2
    )
    if together.geom_type != "Polygon":
        together = together.convex_hull
    outside = shapely.get_coordinates(Polygon(together.exterior).simplify(0.7))  # holes filled
    rounded = Polygon(np.rint(outside))
    whole = shapely.make_valid(rounded)
    return whole if whole.geom_type == "Polygon" else whole.convex_hull


def truth_geojson(slide_id: str, truth: pa.Table) -> dict[str, object]:
    """The objects as GeoJSON for QuPath, in level-0 pixels."""
    features: list[dict[str, object]] = []
    for row in truth.to_pylist():
        outline = shapely.from_wkt(str(row["outline_l0_px"]))
        name = str(row["class"])
        features.append(
            {
                "type": "Feature",
                "id": f"{slide_id}-{row['object_id']}",
                "geometry": shapely.geometry.mapping(outline),
                "properties": {
                    "objectType": "annotation",
                    "classification": {
                        "name": name,
                        "color": [200, 30, 60] if row["malignant"] else [40, 120, 200],
                    },
                    "synthetic": True,
                    "cluster_id": row["cluster_id"],
                },
            }
        )
    return {"type": "FeatureCollection", "synthetic": True, "features": features}

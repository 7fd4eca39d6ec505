"""Nuclear measurements at full resolution: of selected clusters, and of the slide's own lymphocytes as size reference."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inkdot.cell_finder import CellFinder
from inkdot.config import MorphometryConfig
from inkdot.geometry import level_for, plan_rectangle
from inkdot.morphometry import (
    ClusterMeasurement,
    LymphocyteReference,
    NucleusMeasurement,
    lymphocyte_reference,
    measure_nuclei,
    measure_together,
    segment_nuclei,
)
from inkdot.morphometry.arrays import Labels, boxes
from inkdot.morphometry.mask_shape import outline
from inkdot.morphometry.nucleus_measurements import CELL_RANGE_UM
from inkdot.morphometry.priors import WORKING_MPP
from inkdot.records import Mpp, Slide
from inkdot.storage.schemas import MEASURES, clusters_schema, nuclei_schema
from inkdot.tiling.foreground.glass import Glass, find_glass
from inkdot.tiling.polygon_overlap import points_inside
from inkdot.units import MicrometresPerPixel

_LARGEST_WINDOW_UM: Final = 192.0
"""Only the middle of a larger cluster is measured: about a hundred nuclei are enough."""

_LYMPHOCYTE_UM: Final = (4.5, 9.5)  # diameters, measured coarsely, of possible resting lymphocytes
_SMALL_GROUP: Final = 4
_NO_REFERENCE: Final = LymphocyteReference(0, None, None, "")


@dataclass(frozen=True, slots=True)
class Measured:
    """Clusters with their measurements.

    Attributes:
        table: As ``schemas.clusters_schema``.
        facts: For the table's footer: the lymphocyte reference, and how many clusters were measured.
        nuclei: Outlines of their nuclei, as ``schemas.nuclei_schema``.
    """

    table: pa.Table
    facts: dict[str, object]
    nuclei: pa.Table

    @property
    def warnings(self) -> list[str]:
        """Warnings to show with the measurements."""
        reason = str(cast("dict[str, object]", self.facts["lymphocyte_reference"])["reason"])
        return [f"{reason}: the nuclear sizes of this slide have no ratio to lymphocytes"] if reason else []


def measure_slide_clusters(
    slide: Slide,
    clusters: pa.Table,
    by_score: Sequence[int],
    settings: MorphometryConfig,
    not_flagged: Collection[int] = (),
    finder: CellFinder | None = None,
) -> Measured:
    """Segment and measure the nuclei of clusters, and of possible resting lymphocytes for the reference.

    The slide is read once from top to bottom; memory holds the pixels of one cluster at a time.

    Args:
        slide: The slide.
        clusters: As ``schemas.clusters_schema``.
        by_score: cluster_id of the candidates, the most suspicious first.
        settings: How many are measured.
        not_flagged: cluster_id of those that a model did not flag: groups of small nuclei among them may be resting
            lymphocytes too.
        finder: Outlines the nuclei; None outlines them by their stain.

    Raises:
        UnreadableSlideError: The slide's pixels cannot be decoded.
    """
    chosen = set(by_score[: settings.clusters])
    reference_rows = set(_reference_clusters(clusters, settings.reference_cells, not_flagged))
    glass = find_glass(slide, level_for(slide.info, WORKING_MPP))
    measured: dict[int, ClusterMeasurement] = {}
    outlines: list[dict[str, object]] = []
    reference_nuclei: list[NucleusMeasurement] = []
    for row in sorted(chosen | reference_rows):
        window = _read_window(slide, clusters.slice(row, 1).to_pylist()[0], glass, finder)
        if row in reference_rows:
            reference_nuclei.extend(window.whole)
        if row in chosen:
            outlines.extend({"cluster_id": row, **one} for one in _outlines(window))
            if window.whole:
                measured[row] = measure_together(window.labels, window.whole, window.mpp, _NO_REFERENCE)
    reference = lymphocyte_reference(reference_nuclei)
    compared = {row: _with_ratios(cluster, reference) for row, cluster in measured.items()}
    return Measured(
        _with_measures(clusters, compared, chosen),
        _facts(reference, settings, measured, by_score, reference_nuclei),
        pa.Table.from_pylist(outlines, schema=nuclei_schema()),
    )


def largest_first(clusters: pa.Table) -> list[int]:
    """cluster_id of clusters with a tile, by number of nuclei, then by their largest nucleus: the order without scores."""
    not_tiled = cast("list[str]", clusters.column("not_tiled").to_pylist())
    order = np.lexsort(
        (np.arange(len(clusters)), -_numbers(clusters, "nucleus_um"), -_numbers(clusters, "nuclei"))
    )
    return [int(row) for row in order if not not_tiled[int(row)]]


def measurement_facts(footer: Mapping[str, object]) -> dict[str, object] | None:
    """Facts about measurements in the footer of a cluster table; None where nothing was measured."""
    names = ("morphometry", "lymphocyte_reference", "measured")
    return {name: footer[name] for name in names} if all(name in footer for name in names) else None


def _reference_clusters(clusters: pa.Table, most: int, not_flagged: Collection[int]) -> list[int]:
    """Clusters of small nuclei in focus, about ``most`` nuclei in all, evenly spread over the slide from top to bottom.

    Larger groups only where a model did not flag them: a tumour of small nuclei must not become its own reference.
    """
    nuclei, size = _numbers(clusters, "nuclei"), _numbers(clusters, "nucleus_um")
    sharp = np.array(clusters.column("in_focus").to_pylist(), np.bool_)
    # By the whole group: a small field at the edge of a sheet of tumour is no small group.
    trusted = (_numbers(clusters, "group_nuclei") <= _SMALL_GROUP) | np.isin(
        np.arange(len(clusters)), list(not_flagged)
    )
    small = np.flatnonzero(trusted & sharp & (size >= _LYMPHOCYTE_UM[0]) & (size <= _LYMPHOCYTE_UM[1]))
    counted: npt.NDArray[np.float64] = np.cumsum(nuclei[small])
    if len(small) and counted[-1] > most:
        steps = (np.arange(most) + 0.5) * float(counted[-1]) / most
        small = small[np.unique(np.asarray(np.searchsorted(counted, steps), np.intp))]
    return small.tolist()


@dataclass(frozen=True, slots=True)
class _Window:
    """What was read of a slide around one cluster.

    Attributes:
        labels: Segmented nuclei, shape [height, width].
        mpp: Micrometres per pixel of these.
        corner_l0_px: x and y of its top left corner.
        step_l0_px: Width and height of its pixels.
        nuclei: Those with their centroid in the cluster's outline.
    """

    labels: Labels
    mpp: Mpp
    corner_l0_px: tuple[int, int]
    step_l0_px: tuple[float, float]
    nuclei: list[NucleusMeasurement]

    @property
    def whole(self) -> list[NucleusMeasurement]:
        """The nuclei that can be measured: their size is known."""
        return [one for one in self.nuclei if not one.touches_border]


def _read_window(slide: Slide, row: dict[str, object], glass: Glass, finder: CellFinder | None) -> _Window:
    """Segment and measure the nuclei inside one cluster's outline."""
    info = slide.info
    level = level_for(info, WORKING_MPP)
    left, width = _window(cast(int, row["x_l0_px"]), cast(int, row["width_l0_px"]), info.mpp.x)
    top, height = _window(cast(int, row["y_l0_px"]), cast(int, row["height_l0_px"]), info.mpp.y)
    rgb = slide.read(plan_rectangle(info, level, left, top, width, height))
    step_x, step_y = width / rgb.shape[1], height / rgb.shape[0]
    mpp = Mpp(MicrometresPerPixel(info.mpp.x * step_x), MicrometresPerPixel(info.mpp.y * step_y))
    by_stain = finder is None
    labels = (
        segment_nuclei(rgb, mpp, glass.rgb).labels if by_stain else finder.segment(rgb, mpp, glass.od_table())
    )
    nuclei = measure_nuclei(rgb, labels, mpp, glass.rgb)
    inside = points_inside(
        str(row["geometry"]),
        np.array([left + (one.x_px + 0.5) * step_x for one in nuclei]),
        np.array([top + (one.y_px + 0.5) * step_y for one in nuclei]),
    )
    own = [one for one, is_own in zip(nuclei, inside, strict=True) if is_own]
    return _Window(labels, mpp, (left, top), (step_x, step_y), own)


def _outlines(window: _Window) -> Iterator[dict[str, object]]:
    """Outline of each nucleus, rounded to tenths of a level-0 pixel, and whether it was measured."""
    box_of = dict(boxes(window.labels))
    for nucleus in window.nuclei:
        box = box_of[nucleus.label]
        ring = outline(window.labels[box] == nucleus.label) + np.array([box[1].start, box[0].start])
        points = np.round(ring * window.step_l0_px + window.corner_l0_px, 1)
        text = ", ".join(f"{x:.10g} {y:.10g}" for x, y in [*points, points[0]])
        yield {"geometry": f"POLYGON (({text}))", "measured": not nucleus.touches_border}


def _window(start_l0_px: int, length_l0_px: int, mpp: float) -> tuple[int, int]:
    """Start and length in level-0 pixels of what is read along one axis, with a margin for the cytoplasm."""
    target = min(length_l0_px * mpp + 2.0 * CELL_RANGE_UM, _LARGEST_WINDOW_UM) / mpp
    length = max(1, round(target))
    return round(start_l0_px + 0.5 * (length_l0_px - length)), length


def _with_ratios(measured: ClusterMeasurement, reference: LymphocyteReference) -> ClusterMeasurement:
    return replace(
        measured,
        diameter_ratio=reference.ratio(measured.diameter_median_um),
        hyperchromasia=reference.hyperchromasia(measured.mean_od),
    )


def _with_measures(clusters: pa.Table, measured: dict[int, ClusterMeasurement], chosen: set[int]) -> pa.Table:
    columns: dict[str, Any] = {name: clusters.column(name) for name in clusters.column_names}
    # 0: no nucleus could be segmented; null: the cluster was not measured.
    columns["measured_nuclei"] = [
        measured[row].n_nuclei if row in measured else 0 if row in chosen else None
        for row in range(len(clusters))
    ]
    for name in MEASURES:
        columns[name] = [
            getattr(measured[row], name) if row in measured else None for row in range(len(clusters))
        ]
    return pa.Table.from_pydict(columns, schema=clusters_schema())


def _facts(
    reference: LymphocyteReference,
    settings: MorphometryConfig,
    measured: dict[int, ClusterMeasurement],
    by_score: Sequence[int],
    reference_nuclei: Sequence[NucleusMeasurement],
) -> dict[str, object]:
    return {
        "morphometry": settings.model_dump(mode="json"),
        "lymphocyte_reference": asdict(reference),
        "measured": {
            "clusters": len(measured),
            "beyond_budget": max(0, len(by_score) - settings.clusters),
            "reference_nuclei": len(reference_nuclei),
        },
    }


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    return np.asarray(cast("list[float]", table.column(name).to_pylist()), np.float64)

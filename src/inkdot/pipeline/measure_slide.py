"""Nuclei at full scale, only where something is: the clusters worth measuring, and the slide's own ruler."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

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
from inkdot.morphometry.nucleus_measurements import CELL_RANGE_UM
from inkdot.morphometry.priors import WORKING_MPP
from inkdot.records import Mpp, Slide
from inkdot.storage.schemas import MEASURES, clusters_schema
from inkdot.tiling.foreground.glass import find_glass
from inkdot.tiling.polygon_overlap import points_inside
from inkdot.units import MicrometresPerPixel

_LARGEST_WINDOW_UM: Final = 192.0
"""Of a larger cluster only its middle is measured: some hundred nuclei say what it is like."""

_LYMPHOCYTE_UM: Final = (4.5, 9.5)  # coarse diameters of what may be a resting lymphocyte
_FEW_TOGETHER: Final = 4
_NO_RULER: Final = LymphocyteReference(0, None, None, "")


@dataclass(frozen=True, slots=True)
class Measured:
    """Clusters with their measurements.

    Attributes:
        table: As ``schemas.clusters_schema``.
        facts: For the table's footer: the ruler, and how many clusters were measured.
    """

    table: pa.Table
    facts: dict[str, object]

    @property
    def warnings(self) -> list[str]:
        """What a reader must know beside the measurements."""
        reason = str(cast("dict[str, object]", self.facts["ruler"])["reason"])
        return [f"{reason}: nuclear sizes have no ratio to lymphocytes on this slide"] if reason else []


def measure_clusters_of(
    slide: Slide,
    clusters: pa.Table,
    by_region_score: Sequence[int],
    settings: MorphometryConfig,
    not_flagged: Collection[int] = (),
) -> Measured:
    """Outline and measure the nuclei of clusters, and of what may be resting lymphocytes for the ruler.

    The slide is read once from top to bottom; memory holds one cluster's pixels at a time.

    Args:
        slide: The slide.
        clusters: As ``schemas.clusters_schema``.
        by_region_score: cluster_id of those that may be measured, the most worthwhile first.
        settings: How many are.
        not_flagged: cluster_id of those that a model has seen and not flagged: groups of small nuclei among them may be
            resting lymphocytes too.

    Raises:
        UnreadableSlideError: The slide's pixels cannot be decoded.
    """
    chosen = set(by_region_score[: settings.clusters])
    cells = set(_ruler_cells(clusters, settings.reference_cells, not_flagged))
    glass = find_glass(slide, level_for(slide.info, WORKING_MPP)).rgb
    found: dict[int, ClusterMeasurement] = {}
    lone: list[NucleusMeasurement] = []
    for row in sorted(chosen | cells):
        nuclei, measured = _look(slide, clusters.slice(row, 1).to_pylist()[0], glass)
        if row in cells:
            lone.extend(nuclei)
        if row in chosen and measured is not None:
            found[row] = measured
    ruler = lymphocyte_reference(lone)
    compared = {row: _compared(measured, ruler) for row, measured in found.items()}
    return Measured(
        _with_measures(clusters, compared, chosen), _facts(ruler, settings, found, by_region_score, lone)
    )


def largest_first(clusters: pa.Table) -> list[int]:
    """cluster_id of those with a tile, by number of nuclei, then by their largest: the order without scores."""
    unseen = cast("list[str]", clusters.column("unseen").to_pylist())
    order = np.lexsort(
        (np.arange(len(clusters)), -_numbers(clusters, "nucleus_um"), -_numbers(clusters, "nuclei"))
    )
    return [int(row) for row in order if not unseen[int(row)]]


def measured_facts(footer: Mapping[str, object]) -> dict[str, object] | None:
    """What a cluster table's footer says of its measurements; None where nothing was measured."""
    names = ("morphometry", "ruler", "measured")
    return {name: footer[name] for name in names} if all(name in footer for name in names) else None


def _ruler_cells(clusters: pa.Table, most: int, not_flagged: Collection[int]) -> list[int]:
    """Clusters of small nuclei in focus, about ``most`` nuclei in all, evenly spread over the slide from top to bottom.

    Of the larger ones only those that a model saw and did not flag: tumour of small nuclei must not become its own
    ruler.
    """
    nuclei, size = _numbers(clusters, "nuclei"), _numbers(clusters, "nucleus_um")
    sharp = np.array(clusters.column("in_focus").to_pylist(), np.bool_)
    trusted = (nuclei <= _FEW_TOGETHER) | np.isin(np.arange(len(clusters)), list(not_flagged))
    small = np.flatnonzero(trusted & sharp & (size >= _LYMPHOCYTE_UM[0]) & (size <= _LYMPHOCYTE_UM[1]))
    counted: npt.NDArray[np.float64] = np.cumsum(nuclei[small])
    if len(small) and counted[-1] > most:
        steps = (np.arange(most) + 0.5) * float(counted[-1]) / most
        small = small[np.unique(np.asarray(np.searchsorted(counted, steps), np.intp))]
    return small.tolist()


def _look(
    slide: Slide, row: dict[str, object], glass: tuple[float, float, float]
) -> tuple[list[NucleusMeasurement], ClusterMeasurement | None]:
    """The whole nuclei inside one cluster's outline, and the cluster; None where none was outlined."""
    info = slide.info
    level = level_for(info, WORKING_MPP)
    left, width = _window(cast(int, row["x_l0_px"]), cast(int, row["width_l0_px"]), info.mpp.x)
    top, height = _window(cast(int, row["y_l0_px"]), cast(int, row["height_l0_px"]), info.mpp.y)
    rgb = slide.read(plan_rectangle(info, level, left, top, width, height))
    step_x, step_y = width / rgb.shape[1], height / rgb.shape[0]
    mpp = Mpp(MicrometresPerPixel(info.mpp.x * step_x), MicrometresPerPixel(info.mpp.y * step_y))
    labels = segment_nuclei(rgb, mpp, glass).labels
    nuclei = [one for one in measure_nuclei(rgb, labels, mpp, glass) if not one.touches_border]
    inside = points_inside(
        str(row["geometry"]),
        np.array([left + (one.x_px + 0.5) * step_x for one in nuclei]),
        np.array([top + (one.y_px + 0.5) * step_y for one in nuclei]),
    )
    own = [one for one, is_own in zip(nuclei, inside, strict=True) if is_own]
    return own, measure_together(labels, own, mpp, _NO_RULER) if own else None


def _window(start_l0_px: int, length_l0_px: int, mpp: float) -> tuple[int, int]:
    """Start and length in level-0 pixels of what is read along one axis, with room for the cytoplasm around."""
    wanted = min(length_l0_px * mpp + 2.0 * CELL_RANGE_UM, _LARGEST_WINDOW_UM) / mpp
    length = max(1, round(wanted))
    return round(start_l0_px + 0.5 * (length_l0_px - length)), length


def _compared(measured: ClusterMeasurement, ruler: LymphocyteReference) -> ClusterMeasurement:
    return replace(
        measured,
        diameter_ratio=ruler.ratio(measured.diameter_median_um),
        hyperchromasia=ruler.hyperchromasia(measured.mean_od),
    )


def _with_measures(clusters: pa.Table, found: dict[int, ClusterMeasurement], looked_at: set[int]) -> pa.Table:
    columns: dict[str, Any] = {name: clusters.column(name) for name in clusters.column_names}
    # 0 says that nuclei were looked for and none could be outlined; null, that nobody looked.
    columns["measured_nuclei"] = [
        found[row].n_nuclei if row in found else 0 if row in looked_at else None
        for row in range(len(clusters))
    ]
    for name in MEASURES:
        columns[name] = [getattr(found[row], name) if row in found else None for row in range(len(clusters))]
    return pa.Table.from_pydict(columns, schema=clusters_schema())


def _facts(
    ruler: LymphocyteReference,
    settings: MorphometryConfig,
    found: dict[int, ClusterMeasurement],
    by_region_score: Sequence[int],
    lone: Sequence[NucleusMeasurement],
) -> dict[str, object]:
    return {
        "morphometry": settings.model_dump(mode="json"),
        "ruler": asdict(ruler),
        "measured": {
            "clusters": len(found),
            "beyond_budget": max(0, len(by_region_score) - settings.clusters),
            "ruler_nuclei": len(lone),
        },
    }


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    return np.asarray(cast("list[float]", table.column(name).to_pylist()), np.float64)

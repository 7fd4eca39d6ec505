"""What is measured of a cluster: nuclei that lie together, the unit a pathologist judges."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from inkdot.morphometry.arrays import Labels, boxes, components, nearest_label
from inkdot.morphometry.lymphocyte_reference import LymphocyteReference
from inkdot.morphometry.mask_shape import rim
from inkdot.morphometry.nucleus_measurements import NucleusMeasurement
from inkdot.records import MaskArray, Mpp

CLUSTER_GAP_UM: Final = 6.0
"""Nuclei with less than this (µm) between their outlines belong together."""

CONTACT_UM: Final = 0.8
"""Outlines closer than this (µm) touch."""


@dataclass(frozen=True, slots=True)
class ClusterMeasurement:
    """One cluster.

    Attributes:
        labels: Numbers of its nuclei.
        n_nuclei: How many there are.
        x_px: Mean of the nuclei's centroids, in pixels of the image.
        y_px: The same, from the top.
        nuclear_area_um2: Their areas together, in µm².
        diameter_median_um: Median equivalent nuclear diameter in µm.
        diameter_spread: Coefficient of variation (standard deviation by mean) of the diameters; None below 3.
        aspect_median: Median aspect.
        mean_od: Mean optical density of the nuclei.
        texture_median: Median chromatin texture.
        nucleolus_score_median: Median nucleolus score.
        nucleolus_fraction: Share (0 to 1) of nuclei whose nucleolus score is at least 0.4.
        nc_diameter_ratio_median: Median of nuclear by cell diameter.
        moulding_index: Share (0 to 1) of the nuclei's outlines, in pixels, that lie within 0.8 µm of another
            nucleus's outline and are straight or fitted there: Σ contact · f / Σ outline, where f is 1 for a flat
            contact and falls to 0 where two discs touch in a point, f = min(1, contact length / half the smaller
            diameter). 0 for nuclei apart; None below 2. Moulding is weaker on ThinPrep than in sections, and does
            not exclude large-cell carcinoma (DOMAIN A1.1): it describes.
        diameter_ratio: Median diameter by that of the slide's lymphocytes; None without a reference.
        hyperchromasia: Mean optical density by that of the slide's lymphocytes; None without a reference.
    """

    labels: tuple[int, ...]
    n_nuclei: int
    x_px: float
    y_px: float
    nuclear_area_um2: float
    diameter_median_um: float
    diameter_spread: float | None
    aspect_median: float
    mean_od: float
    texture_median: float
    nucleolus_score_median: float
    nucleolus_fraction: float
    nc_diameter_ratio_median: float
    moulding_index: float | None
    diameter_ratio: float | None
    hyperchromasia: float | None


PROMINENT_NUCLEOLUS: Final = 0.4


def measure_clusters(
    labels: Labels,
    nuclei: Sequence[NucleusMeasurement],
    mpp: Mpp,
    reference: LymphocyteReference,
    gap_um: float = CLUSTER_GAP_UM,
) -> list[ClusterMeasurement]:
    """Group an image's nuclei into clusters and measure each; single nuclei are clusters of one.

    Args:
        labels: Segmentation, shape [height, width].
        nuclei: Measurements of its labels.
        mpp: Micrometres per pixel.
        reference: The slide's lymphocytes.
        gap_um: Nuclei closer than this (µm, outline to outline) belong together.
    """
    if not nuclei:
        return []
    by_label = {one.label: one for one in nuclei}
    contacts = _contacts(labels, mpp)
    groups = _groups(labels, sorted(by_label), mpp, gap_um)
    return [_measure([by_label[label] for label in group], contacts, reference) for group in groups]


def measure_together(
    labels: Labels, nuclei: Sequence[NucleusMeasurement], mpp: Mpp, reference: LymphocyteReference
) -> ClusterMeasurement:
    """Measure nuclei that are known to belong together, such as those of a cluster found at a coarser scale.

    Args:
        labels: Segmentation, shape [height, width]; other nuclei in it are left out of account.
        nuclei: Measurements of the cluster's nuclei, at least one.
        mpp: Micrometres per pixel.
        reference: The slide's lymphocytes.
    """
    own = np.isin(labels, [one.label for one in nuclei])
    return _measure(list(nuclei), _contacts(np.where(own, labels, 0).astype(np.int32), mpp), reference)


@dataclass(frozen=True, slots=True)
class _Contacts:
    """Lengths of outlines in µm.

    Attributes:
        outline_um: Per label.
        shared_um: Per pair of touching labels, on the side of the first.
    """

    outline_um: dict[int, float]
    shared_um: dict[tuple[int, int], float]


def _contacts(labels: Labels, mpp: Mpp) -> _Contacts:
    outline: dict[int, float] = {}
    shared: dict[tuple[int, int], float] = {}
    step = math.sqrt(mpp.x * mpp.y)
    margin_y, margin_x = math.ceil(CONTACT_UM / mpp.y) + 1, math.ceil(CONTACT_UM / mpp.x) + 1
    for label, box in boxes(labels):
        wide = (
            slice(max(0, box[0].start - margin_y), box[0].stop + margin_y),
            slice(max(0, box[1].start - margin_x), box[1].stop + margin_x),
        )
        here = labels[wide]
        mask = cast(MaskArray, here == label)
        edge = rim(mask)
        outline[label] = int(edge.sum()) * step
        others = (here > 0) & ~mask
        if not others.any():
            continue
        owner, distance = nearest_label(np.where(others, here, 0).astype(np.int32), mpp)
        owners = owner[edge & (distance <= CONTACT_UM)]
        for other, count in zip(*np.unique(owners, return_counts=True), strict=True):
            shared[label, int(other)] = int(count) * step
    return _Contacts(outline, shared)


def _groups(labels: Labels, numbers: list[int], mpp: Mpp, gap_um: float) -> list[list[int]]:
    """Connected groups under "closer than the gap", each sorted, in the order of their first label."""
    # Growing every nucleus by half the gap, those that meet belong together.
    nearest, distance = nearest_label(labels, mpp)
    owner = np.where(distance <= gap_um / 2, nearest, 0)
    pairs: list[npt.NDArray[np.integer]] = []
    for one, other in ((owner[:, 1:], owner[:, :-1]), (owner[1:], owner[:-1])):
        meeting = (one != other) & (one > 0) & (other > 0)
        pairs.append(np.stack([one[meeting], other[meeting]]))
    joined = np.concatenate(pairs, axis=1)
    component = components(joined[0], joined[1], max(numbers) + 1)
    groups: dict[int, list[int]] = {}
    for number in numbers:
        groups.setdefault(int(component[number]), []).append(number)
    return list(groups.values())


def _measure(
    nuclei: list[NucleusMeasurement], contacts: _Contacts, reference: LymphocyteReference
) -> ClusterMeasurement:
    diameters = np.asarray([one.diameter_um for one in nuclei])
    areas = np.asarray([one.area_um2 for one in nuclei])
    od = float(np.average([one.mean_od for one in nuclei], weights=areas))
    median = float(np.median(diameters))
    spread = float(diameters.std(ddof=1) / diameters.mean()) if len(nuclei) >= 3 else None
    scores = np.asarray([one.nucleolus_score for one in nuclei])
    return ClusterMeasurement(
        labels=tuple(one.label for one in nuclei),
        n_nuclei=len(nuclei),
        x_px=float(np.mean([one.x_px for one in nuclei])),
        y_px=float(np.mean([one.y_px for one in nuclei])),
        nuclear_area_um2=float(areas.sum()),
        diameter_median_um=median,
        diameter_spread=spread,
        aspect_median=float(np.median([one.aspect for one in nuclei])),
        mean_od=od,
        texture_median=float(np.median([one.texture for one in nuclei])),
        nucleolus_score_median=float(np.median(scores)),
        nucleolus_fraction=float((scores >= PROMINENT_NUCLEOLUS).mean()),
        nc_diameter_ratio_median=float(np.median([one.nc_diameter_ratio for one in nuclei])),
        moulding_index=_moulding(nuclei, contacts) if len(nuclei) >= 2 else None,
        diameter_ratio=reference.ratio(median),
        hyperchromasia=reference.hyperchromasia(od),
    )


def _moulding(nuclei: list[NucleusMeasurement], contacts: _Contacts) -> float:
    by_label = {one.label: one for one in nuclei}
    outline = sum(contacts.outline_um[label] for label in by_label)
    moulded = 0.0
    for (label, other), length in contacts.shared_um.items():
        if label in by_label and other in by_label:
            smaller = min(by_label[label].diameter_um, by_label[other].diameter_um)
            moulded += length * min(1.0, length / (smaller / 2))
    return min(1.0, moulded / outline) if outline > 0 else 0.0

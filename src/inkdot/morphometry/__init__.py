"""Nuclei in pixels: where they are, how large, how dark and how close, in micrometres where the scale is known.

Works on arrays and records; slides are opened and tables written elsewhere. Sizes describe, they never decide:
no function here calls anything small-cell or large-cell (docs/explanation/morphometry.md says why).
"""

from inkdot.morphometry.cluster_measurements import ClusterMeasurement, measure_clusters, measure_together
from inkdot.morphometry.lymphocyte_reference import LymphocyteReference, lymphocyte_reference
from inkdot.morphometry.measurement_tables import cluster_table, nucleus_table
from inkdot.morphometry.nuclear_scale import estimate_nuclear_diameter_px
from inkdot.morphometry.nucleus_measurements import NucleusMeasurement, measure_nuclei
from inkdot.morphometry.segmentation import Segmentation, segment_at_unknown_scale, segment_nuclei

__all__ = [
    "ClusterMeasurement",
    "LymphocyteReference",
    "NucleusMeasurement",
    "Segmentation",
    "cluster_table",
    "estimate_nuclear_diameter_px",
    "lymphocyte_reference",
    "measure_clusters",
    "measure_nuclei",
    "measure_together",
    "nucleus_table",
    "segment_at_unknown_scale",
    "segment_nuclei",
]

"""Segmentation and measurement of nuclei, on arrays; in micrometres where the scale is known.

No function here calls a cell type from a size (docs/explanation/morphometry.md).

- ``segmentation``: nuclei of an image; the entry point.
- ``stain_planes``, ``component_tree``, ``nucleus_splitting``, ``half_maximum``, ``outline_smoothing``: its steps.
- ``priors``: its constants; ``nuclear_scale``: nuclear diameter of an image of unknown scale.
- ``nucleus_measurements``, ``cluster_measurements``, ``measurement_tables``: measurements, and their tables.
- ``lymphocyte_reference``: resting lymphocytes as size reference.
- ``arrays``, ``mask_shape``: array helpers.
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

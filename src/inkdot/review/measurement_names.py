"""Names of scores and measurements as QuPath writes its own: ``Nucleus: median diameter µm``."""

from typing import Final

QUPATH_NAMES: Final = {
    "nuclei_estimated": "Cluster: estimated number of nuclei",
    "measured_nuclei": "Cluster: number of nuclei outlined",
    "in_focus": "Cluster: in focus",
    "rank": "Rank",
    "diameter_median_um": "Nucleus: median diameter µm",
    "diameter_spread": "Nucleus: diameter coefficient of variation",
    "aspect_median": "Nucleus: median aspect ratio",
    "mean_od": "Nucleus: mean optical density",
    "texture_median": "Nucleus: median chromatin texture",
    "nucleolus_score_median": "Nucleus: median nucleolus score",
    "nucleolus_fraction": "Nucleus: fraction with prominent nucleolus",
    "nc_diameter_ratio_median": "Nucleus/Cell: median diameter ratio",
    "moulding_index": "Cluster: moulding index",
    "diameter_ratio": "Nucleus: diameter ratio to lymphocytes",
    "hyperchromasia": "Nucleus: optical density ratio to lymphocytes",
}
"""By the name of the column in Inkdot's tables."""

_UNITS: Final = {"_um2": " µm^2", "_mm2": " mm^2", "_um": " µm", "_mm": " mm", "_px": " px"}


def qupath_name(column: str) -> str:
    """What a column of scores or measurements is called in QuPath.

    QuPath's own names have the thing measured, a colon, the measurement, and the unit with ``^`` for powers.

    Args:
        column: Name in Inkdot's tables, such as ``p.malignancy.malignant`` or ``diameter_median_um``.
    """
    if column in QUPATH_NAMES:
        return QUPATH_NAMES[column]
    if column.startswith("p.") and column.count(".") == 2:
        _, head, name = column.split(".")
        return f"Probability: {_words(head)} {_words(name)}"
    for suffix, unit in _UNITS.items():
        if column.endswith(suffix):
            return f"Cluster: {_words(column.removesuffix(suffix))}{unit}"
    return f"Cluster: {_words(column)}"


def _words(name: str) -> str:
    return name.replace("_", " ")

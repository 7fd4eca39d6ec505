"""Measurement of nuclei."""

from pydantic import Field

from inkdot.config.strict import Strict


class MorphometryConfig(Strict):
    """Measurement of nuclei at full resolution; only with tiling.mode clusters."""

    clusters: int = Field(
        default=60,
        ge=0,
        le=100_000,
        description="Maximum number of clusters per slide whose nuclei are measured: in `inkdot predict` those with the highest "
        "scores, in `inkdot tile` those with the most nuclei; 0 for none. The number left out is reported.",
    )
    reference_cells: int = Field(
        default=120,
        ge=20,
        le=10_000,
        description="Maximum number of small nuclei, spread over the slide, among which its resting lymphocytes are found: the "
        "size reference of all other nuclei.",
    )

"""How many nuclei are outlined and measured at full scale."""

from pydantic import Field

from inkdot.config.strict import Strict


class MorphometryConfig(Strict):
    """How many nuclei are outlined and measured at full scale; only where tiles are centred on clusters."""

    clusters: int = Field(
        default=60,
        ge=0,
        le=100_000,
        description="The nuclei of at most so many clusters of a slide are measured: of `predict` those with the highest "
        "scores, of `tile` those with the most nuclei; 0 for none. How many were left out is reported.",
    )
    reference_cells: int = Field(
        default=120,
        ge=20,
        le=10_000,
        description="At most so many small nuclei, alone or a few together, spread over the slide, are looked at to find its "
        "resting lymphocytes, the ruler of all others.",
    )

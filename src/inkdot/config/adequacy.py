"""Adequacy: which parts of a slide can be assessed, and how much of it must be assessable."""

from pydantic import Field

from inkdot.config.strict import Fraction, Strict


class SpotConfig(Strict):
    """The cell spot of a liquid-based preparation; searched for on every slide that is large enough to show it."""

    diameter_um: float = Field(
        default=20_000.0,
        ge=0.0,
        le=60_000.0,
        description="Diameter of the spot (µm): ThinPrep 20000, SurePath 13000; 0 switches the search off.",
    )
    tolerance_fraction: float = Field(
        default=0.06,
        ge=0.005,
        le=0.3,
        description="Relative tolerance of the diameter (0 to 1).",
    )
    ring_um: float = Field(
        default=500.0,
        ge=0.0,
        le=5_000.0,
        description="Width (µm) of the rim of the spot in which pale objects without a nucleus count as the filter imprint.",
    )


class ArtefactConfig(Strict):
    """Which regions are unassessable, and which tiles are dropped."""

    largest_edge_um: float = Field(
        default=1.0,
        ge=0.0,
        le=20.0,
        description="Regions with wider edges than this (µm, sigma of a blurred edge) are out of focus; 0 switches focus "
        "measurement off.",
    )
    max_pen_fraction: Fraction = Field(
        default=0.02,
        description="Tiles are dropped when a larger fraction (0 to 1) of their area is under a pen mark.",
    )
    max_blocked_fraction: Fraction = Field(
        default=0.5,
        description="Tiles are dropped when a larger fraction (0 to 1) of their area is under pen, bubbles, folds or other "
        "artefacts.",
    )


class AdequacyConfig(Strict):
    """Minimum content of a slide. With less, its call is inadequate, never negative."""

    min_nuclei: int = Field(
        default=20, ge=0, description="Cytology: minimum number of nuclei in focus, of all cell types."
    )
    min_assessable_mm2: float = Field(
        default=0.0, ge=0.0, description="Cytology: minimum assessable area of glass (mm²)."
    )
    min_tissue_mm2: float = Field(
        default=0.05, ge=0.0, description="Sections: minimum assessable area of tissue (mm²)."
    )
    max_unassessable_fraction: Fraction = Field(
        default=0.75,
        description="Maximum fraction (0 to 1) of the slide's content that is out of focus or under artefacts.",
    )
    photograph_mm2: float = Field(
        default=4.0,
        ge=0.0,
        description="A plain image of at most this area (mm²) is treated as a photograph of a chosen field.",
    )
    min_nuclei_in_photograph: int = Field(
        default=1,
        ge=0,
        description="Minimum number of nuclei in focus in a photograph; the other minimums do not apply to it.",
    )

"""What of a slide counts as assessable, and how much of it there must be."""

from pydantic import Field

from inkdot.config.strict import Fraction, Strict


class SpotConfig(Strict):
    """The cell spot of a liquid-based preparation, looked for on every slide large enough to show it."""

    diameter_um: float = Field(
        default=20_000.0,
        ge=0.0,
        le=60_000.0,
        description="Its diameter (µm): ThinPrep 20000, SurePath 13000; 0 does not look for one.",
    )
    tolerance_fraction: float = Field(
        default=0.06,
        ge=0.005,
        le=0.3,
        description="Its diameter may differ by this share (0 to 1).",
    )
    ring_um: float = Field(
        default=500.0,
        ge=0.0,
        le=5_000.0,
        description="Width (µm) of the rim in which pale things without a nucleus are the filter's print.",
    )


class ArtefactConfig(Strict):
    """What makes regions unassessable, and tiles unfit for the network."""

    largest_edge_um: float = Field(
        default=1.0,
        ge=0.0,
        le=20.0,
        description="Regions whose edges are wider than this (µm, sigma of a blurred edge) are out of focus; 0 "
        "measures and drops nothing.",
    )
    max_pen_fraction: Fraction = Field(
        default=0.02, description="Tiles with more of their area (0 to 1) under a pen mark are dropped."
    )
    max_blocked_fraction: Fraction = Field(
        default=0.5,
        description="Tiles with more of their area (0 to 1) under pen, bubbles, folds and other named artefacts are "
        "dropped.",
    )


class AdequacyConfig(Strict):
    """How much there must be on a slide; with less its call is inadequate, never negative."""

    min_nuclei: int = Field(
        default=20, ge=0, description="Cytology: at least so many nuclei in focus, cells of all kinds."
    )
    min_assessable_mm2: float = Field(
        default=0.0, ge=0.0, description="Cytology: at least so much glass (mm²) that can be judged."
    )
    min_tissue_mm2: float = Field(
        default=0.05, ge=0.0, description="Sections: at least so much tissue (mm²) that can be judged."
    )
    max_unassessable_fraction: Fraction = Field(
        default=0.75,
        description="At most this share (0 to 1) of what lies on the slide may be out of focus or under artefacts.",
    )
    photograph_mm2: float = Field(
        default=4.0,
        ge=0.0,
        description="A plain image that shows no more than this (mm²) is a photograph: somebody chose the field.",
    )
    min_nuclei_in_photograph: int = Field(
        default=1,
        ge=0,
        description="A photograph needs so many nuclei in focus; the other floors do not apply.",
    )

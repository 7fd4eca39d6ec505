"""How slides are cut into tiles, and how tiles take their labels."""

from typing import Literal

from pydantic import Field, model_validator

from inkdot.config.adequacy import AdequacyConfig, ArtefactConfig, SpotConfig
from inkdot.config.strict import Fraction, Strict
from inkdot.records import TileSpec
from inkdot.units import MicrometresPerPixel, TilePx


class TilingConfig(Strict):
    """How slides are cut into tiles."""

    side_px: int = Field(
        default=256, ge=32, le=2048, description="Side of a tile in pixels, as the network sees it."
    )
    mpp: float = Field(default=0.25, ge=0.08, le=4.0, description="Micrometres per tile pixel.")
    stride_px: int = Field(
        default=256,
        ge=8,
        le=4096,
        description="Distance between neighbouring tiles in tile pixels; less than side_px overlaps.",
    )
    mask_mpp: float = Field(
        default=4.0,
        ge=0.5,
        le=64.0,
        description="Micrometres per pixel at which foreground is told from empty glass.",
    )
    min_foreground_fraction: Fraction = Field(
        default=0.01, description="Tiles with less of their area (0 to 1) in the foreground are dropped."
    )
    min_object_um: float = Field(
        default=4.0,
        ge=0.0,
        le=1000.0,
        description="Foreground specks narrower than this (µm) are dropped as dust.",
    )
    mode: Literal["grid", "clusters"] = Field(
        default="grid",
        description="grid: every tile with foreground. clusters: tiles centred on nuclei that lie together, for "
        "cytology.",
    )
    nucleus_od: float = Field(
        default=0.18,
        ge=0.02,
        le=2.0,
        description="Nuclei absorb at least this much (optical density) of red and of green light; for clusters.",
    )
    min_nucleus_um: float = Field(
        default=4.5,
        ge=1.0,
        le=50.0,
        description="Dark things narrower than this (µm) are no nuclei; for clusters.",
    )
    cluster_distance_um: float = Field(
        default=12.0,
        ge=0.0,
        le=200.0,
        description="Nuclei closer than this (µm, edge to edge) are one cluster.",
    )
    lone_nucleus_um: float = Field(
        default=7.2,
        ge=0.0,
        le=100.0,
        description="A nucleus alone gets a tile from this diameter (µm); most resting lymphocytes are smaller.",
    )
    max_tiles: int = Field(
        default=4000,
        ge=1,
        description="At most so many tiles on the clusters of a slide, largest first; what is left out is reported.",
    )
    dct_scaling: bool = Field(
        default=True,
        description="Shrink JPEG slides while decoding where the scale allows it: faster, and about a grey level from "
        "decoding every pixel.",
    )
    spot: SpotConfig = SpotConfig()
    artefacts: ArtefactConfig = ArtefactConfig()
    adequacy: AdequacyConfig = AdequacyConfig()

    @model_validator(mode="after")
    def _no_gaps(self) -> "TilingConfig":
        if self.stride_px > self.side_px:
            raise ValueError(
                f"expected stride_px of at most side_px ({self.side_px}), found {self.stride_px}; "
                "regions between the tiles would never be seen"
            )
        return self

    @property
    def spec(self) -> TileSpec:
        """The physical scale of the tiles."""
        return TileSpec(TilePx(self.side_px), MicrometresPerPixel(self.mpp), TilePx(self.stride_px))


class LabellingConfig(Strict):
    """How regions that people marked become targets of tiles."""

    min_region_fraction: Fraction = Field(
        default=0.5,
        description="A region labels a tile when at least this much of the region (0 to 1) lies in the tile.",
    )
    min_tile_fraction: Fraction = Field(
        default=0.25,
        description="…or when it covers at least this much of the tile (0 to 1): for large annotated regions.",
    )

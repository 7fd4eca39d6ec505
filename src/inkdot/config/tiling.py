"""Tiling of slides, and labelling of tiles."""

from typing import Literal

from pydantic import Field, model_validator

from inkdot.config.adequacy import AdequacyConfig, ArtefactConfig, SpotConfig
from inkdot.config.strict import Fraction, Strict
from inkdot.records import TileSpec
from inkdot.units import MicrometresPerPixel, TilePx


class TilingConfig(Strict):
    """How slides are cut into tiles."""

    side_px: int = Field(
        default=256, ge=32, le=2048, description="Side of a tile in pixels: the input size of the network."
    )
    mpp: float = Field(default=0.25, ge=0.08, le=4.0, description="Micrometres per pixel of a tile.")
    stride_px: int = Field(
        default=256,
        ge=8,
        le=4096,
        description="Distance between neighbouring tiles in tile pixels; tiles overlap where it is less than side_px.",
    )
    mask_mpp: float = Field(
        default=4.0,
        ge=0.5,
        le=64.0,
        description="Micrometres per pixel of the foreground mask.",
    )
    min_foreground_fraction: Fraction = Field(
        default=0.01,
        description="Tiles are dropped when a smaller fraction (0 to 1) of their area is foreground.",
    )
    min_object_um: float = Field(
        default=4.0,
        ge=0.0,
        le=1000.0,
        description="Foreground objects narrower than this (µm) are dropped as dust.",
    )
    mode: Literal["grid", "clusters"] = Field(
        default="grid",
        description="grid: all tiles with foreground. clusters: tiles centred on clusters of nuclei, for cytology.",
    )
    cell_finder: str = Field(
        default="shipped",
        min_length=1,
        description="What finds nuclei: shipped, the network that is installed with inkdot; the folder of a cell finder of your "
        "own; or classical, by colour and size.",
    )
    nucleus_od: float = Field(
        default=0.18,
        ge=0.02,
        le=2.0,
        description="Minimum optical density of a nucleus in red and in green; for cell_finder classical.",
    )
    min_nucleus_um: float = Field(
        default=4.5,
        ge=1.0,
        le=50.0,
        description="Minimum diameter of a nucleus (µm); for mode clusters.",
    )
    cluster_distance_um: float = Field(
        default=12.0,
        ge=0.0,
        le=200.0,
        description="Nuclei closer than this (µm, edge to edge) belong to one cluster.",
    )
    fields: bool = Field(
        default=True,
        description="Cut groups of nuclei that do not fit one tile into fields that do. Models made before there was this key "
        "keep whole groups.",
    )
    lone_nucleus_um: float = Field(
        default=5.0,
        ge=0.0,
        le=100.0,
        description="Minimum diameter (µm) of one or two nuclei that get a tile of their own.",
    )
    max_tiles: int = Field(
        default=20_000,
        ge=1,
        description="Maximum number of cluster tiles per slide, by turns to the clusters of most nuclei and of the largest "
        "nucleus; the number left out is reported.",
    )
    dct_scaling: bool = Field(
        default=True,
        description="Downscale JPEG slides in the decoder where the scale allows it: faster, and within about one grey level "
        "of full decoding.",
    )
    spot: SpotConfig = SpotConfig()
    artefacts: ArtefactConfig = ArtefactConfig()
    adequacy: AdequacyConfig = AdequacyConfig()

    @model_validator(mode="after")
    def _no_gaps(self) -> "TilingConfig":
        if self.stride_px > self.side_px:
            raise ValueError(
                f"expected stride_px of at most side_px ({self.side_px}), found {self.stride_px}; "
                "regions between the tiles would be skipped"
            )
        return self

    @property
    def spec(self) -> TileSpec:
        """Side, scale and stride of the tiles as a record."""
        return TileSpec(TilePx(self.side_px), MicrometresPerPixel(self.mpp), TilePx(self.stride_px))


class LabellingConfig(Strict):
    """How annotated regions become training targets of tiles."""

    min_region_fraction: Fraction = Field(
        default=0.5,
        description="A region labels a tile when at least this fraction (0 to 1) of the region lies in the tile.",
    )
    min_tile_fraction: Fraction = Field(
        default=0.25,
        description="A region also labels a tile when it covers at least this fraction (0 to 1) of it: for large regions.",
    )

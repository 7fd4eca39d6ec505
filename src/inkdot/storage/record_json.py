"""Records as JSON values, for the footers of tables and for ``model.json``."""

from collections.abc import Mapping
from typing import cast

from pydantic import ValidationError

from inkdot.config import HeadConfig
from inkdot.labels import Head
from inkdot.records import SlideInfo, TileSpec
from inkdot.units import MicrometresPerPixel, TilePx


def tile_spec_json(spec: TileSpec) -> dict[str, object]:
    """Give a tile spec as a JSON value."""
    return {"side_px": spec.side_px, "mpp": spec.mpp, "stride_px": spec.stride_px}


def tile_spec_from_json(value: object) -> TileSpec:
    """Read a tile spec written by :func:`tile_spec_json`."""
    values = cast("Mapping[str, float]", value)
    return TileSpec(
        TilePx(int(values["side_px"])), MicrometresPerPixel(values["mpp"]), TilePx(int(values["stride_px"]))
    )


def heads_from_json(value: object) -> tuple[Head, ...]:
    """Read heads written as :class:`inkdot.config.HeadConfig`."""
    return tuple(HeadConfig.model_validate(head).to_head() for head in cast("list[object]", value))


def first_error(error: Exception) -> str:
    """The first error of a JSON value in one line, without the links and excerpts of pydantic."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return " ".join(str(error).split())


def slide_info_json(info: SlideInfo) -> dict[str, object]:
    """Give the metadata of a slide as a JSON value, without label, macro image or free text."""
    bounds = info.bounds_l0_px
    return {
        "slide_id": info.slide_id,
        "width_l0_px": info.size_l0_px[0],
        "height_l0_px": info.size_l0_px[1],
        "mpp_x": info.mpp.x,
        "mpp_y": info.mpp.y,
        "mpp_source": info.mpp_source,
        "level_downsamples": list(info.level_downsamples),
        "bounds_l0_px": [bounds.x_l0_px, bounds.y_l0_px, bounds.width_l0_px, bounds.height_l0_px]
        if bounds
        else None,
        "vendor": info.vendor,
        "synthetic": info.synthetic,
        "warnings": list(info.warnings),
    }

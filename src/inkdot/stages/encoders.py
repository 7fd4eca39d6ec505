"""``inkdot encoders``: published encoders that ``model.backbone`` takes by name."""

import difflib
import json
import sys

from rich.console import Console
from rich.text import Text

from inkdot.errors import UserError
from inkdot.model.encoders.recipes import NOT_STATED, EncoderRecipe, encoder_recipes

_COLUMNS = ("name", "domain", "side px", "µm/px", "width", "licence")
_POOLING = {
    "default": "class token",
    "cls": "class token",
    "mean": "mean of the patch tokens",
    "cls_mean": "class token and mean of the patch tokens, side by side",
    "attention": "attention of one learned query over all tokens",
}


def run(name: str | None = None, *, as_json: bool = False) -> int:
    """Print the table of encoders, or all facts of one.

    Args:
        name: Of an encoder; None for the table.
        as_json: Print JSON.

    Raises:
        UserError: There is no such encoder; the message names similar ones.
    """
    recipes = encoder_recipes()
    if name is not None and name not in recipes:
        similar = difflib.get_close_matches(name.lower(), recipes, n=3, cutoff=0.4) or list(recipes)[:3]
        raise UserError(
            f"encoders: expected a name of `inkdot encoders`, found {name!r}; similar ones are {', '.join(similar)}; any timm "
            "model may stand in model.backbone too"
        )
    if as_json:
        chosen = list(recipes.values()) if name is None else [recipes[name]]
        values = [recipe.model_dump(mode="json") for recipe in chosen]
        sys.stdout.write(
            json.dumps(values if name is None else values[0], indent=2, ensure_ascii=False) + "\n"
        )
        return 0
    console = Console()
    for line in table_lines() if name is None else fact_lines(recipes[name]):
        console.print(Text(line), soft_wrap=True)
    return 0


def table_rows() -> list[tuple[str, ...]]:
    """Name, domain, side, scale, width and licence of every encoder, as text."""
    return [
        (recipe.name, recipe.domain, str(recipe.side_px), _scales(recipe), str(recipe.width), recipe.licence)
        for recipe in encoder_recipes().values()
    ]


def table_lines() -> list[str]:
    """The table with aligned columns, and what it means."""
    rows = [_COLUMNS, *table_rows()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return [
        *lines,
        "",
        "All facts and the lines for a config: inkdot encoders NAME. Any timm model may stand in model.backbone too.",
        "No file of these encoders was read while Inkdot was made: shapes are tested against what is published.",
    ]


def fact_lines(recipe: EncoderRecipe) -> list[str]:
    """All facts of an encoder, and the lines for a config."""
    arguments = ", ".join(f"{key}={value}" for key, value in recipe.kwargs.items()) or "none"
    return [
        f"{recipe.title} ({recipe.domain})",
        "",
        f"architecture   {recipe.architecture}; arguments: {arguments}",
        f"input          {recipe.side_px} px, patches of {recipe.patch_px} px; "
        + (f"trained at {_scales(recipe)} µm/px" if recipe.mpp else "µm/px not stated"),
        f"normalisation  mean {_three(recipe.mean)}, standard deviation {_three(recipe.std)}",
        f"embedding      {recipe.width} wide: {_POOLING[recipe.pooling]}",
        f"licence        {recipe.licence}{'; no commercial use' if recipe.non_commercial else ''}"
        f"{f'. {recipe.limits}' if recipe.limits else ''}",
        f"weights        {recipe.page}" + (f" ({recipe.file})" if recipe.file else ""),
        *([f"note           {recipe.note}"] if recipe.note else []),
        f"sources        {'; '.join(recipe.sources)}",
        "",
        "config, with the file of weights:",
        *config_lines(recipe),
    ]


def config_lines(recipe: EncoderRecipe) -> list[str]:
    """Lines to paste into a config."""
    mpp = recipe.mpp[0] if recipe.mpp else None
    return [
        "tiling:",
        f"  side_px: {recipe.side_px}",
        f"  stride_px: {recipe.side_px}",
        *([f"  mpp: {mpp:g}"] if mpp else []),
        "model:",
        f"  backbone: {recipe.name}",
        f"  weights: /FOLDER/{recipe.file or 'model.safetensors'}",
    ]


def _scales(recipe: EncoderRecipe) -> str:
    return ", ".join(f"{value:g}" for value in recipe.mpp) or NOT_STATED


def _three(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:g}" for value in values)

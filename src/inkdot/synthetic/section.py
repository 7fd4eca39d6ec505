"""Lays an H&E section: nuclei of tumour, stroma, glands and infiltrate on a ground plan."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from inkdot.synthetic.backdrops import Writing
from inkdot.synthetic.cells import Preparation, draw_apoptotic_body, draw_cell, draw_red_cell, pressed
from inkdot.synthetic.clusters import turned
from inkdot.synthetic.cohort import SlidePlan
from inkdot.synthetic.ground_plan import STEP_UM, Gland, Ground, GroundPlan, draw_ground_plan
from inkdot.synthetic.marks import AirBubble, PenStroke
from inkdot.synthetic.patients import Patient
from inkdot.synthetic.recipes import RECIPES, Recipe, blend
from inkdot.synthetic.regions import draw_regions
from inkdot.synthetic.scene import Backdrop, Box, Cell, Nucleus, Scene
from inkdot.synthetic.shapes import ellipse, equivalent_diameter_um, perturbed
from inkdot.synthetic.spot import WRITING_DENSITY
from inkdot.synthetic.stains import E, H, Stain
from inkdot.synthetic.tissue import Tissue

_DEPTH_UM = 0.6
"""Standard deviation of the height of nuclei in a 4 µm section."""

# Apparent diameters in the section; the bodies carry eosin, no light green.
_SMALL = replace(
    RECIPES["small_nec"],
    **{"diameter_um": 8.1, "diameter_sd_um": 1.5, "smallest_um": 5.0, "largest_um": 12.0, "light_green": 0.0},
    **{"p_naked": 1.0, "haematoxylin": 0.95, "p_spindle": 0.2, "p_vacuoles": 0.0},
)
_LARGE = replace(
    RECIPES["large_nec"],
    **{
        "diameter_um": 12.0,
        "diameter_sd_um": 2.2,
        "smallest_um": 7.0,
        "largest_um": 20.0,
        "light_green": 0.0,
    },
    **{
        "eosin": 0.14,
        "p_vacuoles": 0.1,
        "haematoxylin": 0.70,
        "nc_low": 0.55,
        "nc_high": 0.72,
        "p_naked": 0.0,
    },
)
_LYMPHOCYTE = replace(
    RECIPES["lymphocyte"], diameter_um=6.3, smallest_um=5.0, largest_um=8.0, light_green=0.0, p_naked=1.0
)
_FIBROBLAST = replace(
    RECIPES["arachnoid"],
    **{"diameter_um": 6.6, "diameter_sd_um": 0.9, "smallest_um": 4.0, "largest_um": 9.0, "aspect": 3.4},
    **{"aspect_sd": 0.7, "p_naked": 1.0, "haematoxylin": 0.75, "fine": 0.8, "reticular": 0.2},
)
_COLUMNAR = replace(
    RECIPES["choroid"],
    **{"diameter_um": 6.8, "diameter_sd_um": 0.6, "smallest_um": 5.0, "largest_um": 9.0, "aspect": 1.6},
    **{"p_naked": 1.0, "haematoxylin": 0.75},
)

_Lay = Callable[[Cell], None]


def lay_section(plan: SlidePlan, patient: Patient, stain: Stain) -> Scene:
    """Everything on one H&E section, from the plan alone; ``spot_mm`` is the side of the section.

    Args:
        plan: The slide.
        patient: Its patient.
        stain: The laboratory's dyes.
    """
    rng = plan.chance("scene")
    side = plan.spot_mm * 1000.0
    margin, band = max(40.0, 0.03 * side), 0.12 * side
    width = side + 2.0 * margin
    ground = draw_ground_plan(side, patient.tumour, rng)
    cells: list[Cell] = []

    def lay(cell: Cell) -> None:
        z = float(rng.normal(0.0, _DEPTH_UM))
        cells.append(replace(cell, x_um=cell.x_um + margin, y_um=cell.y_um + margin, z_um=z))

    _lay_tumour(ground, patient, lay, rng)
    _lay_stroma(ground, patient.preparation, lay, rng)
    _lay_necrosis(ground, patient.preparation, lay, rng)
    for gland in ground.glands:
        _lay_gland(gland, patient.preparation, lay, rng)
    for vessel in ground.vessels:
        _lay_vessel(vessel, patient.preparation, lay, rng)
    tissue = Tissue(ground, margin, margin, stain, int(rng.integers(1 << 30)))
    writing = Box(margin, margin + side + 0.01 * side, width - margin, width + band - 0.3 * margin)
    flaws = _flaws(side, margin, stain, rng)
    names = tuple(sorted({flaw.kind for flaw in flaws}))
    backdrop: tuple[Backdrop, ...] = (tissue, Writing(writing, WRITING_DENSITY), *flaws)
    return Scene(width, width + band, tuple(cells), (), backdrop, names, draw_regions(ground, margin))


def _flaws(side_um: float, margin_um: float, stain: Stain, rng: np.random.Generator) -> list[Backdrop]:
    """A fold, where the section lies double, or a bubble, on some sections."""
    flaws: list[Backdrop] = []
    x, y = (float(value) for value in margin_um + side_um * rng.uniform(0.3, 0.7, 2))
    if rng.random() < 0.2:
        direction, half = rng.uniform(0.0, math.pi), 0.5 * side_um * rng.uniform(0.2, 0.5)
        dx, dy = half * math.cos(direction), half * math.sin(direction)
        colour = (0.35 * stain.od[E] + 0.12 * stain.od[H]).astype(np.float32)
        width = float(rng.uniform(0.02, 0.05)) * min(side_um, 3000.0)
        ends = ((x - dx, y - dy), (x + dx, y + dy))
        flaws.append(PenStroke(ends, width, colour, int(rng.integers(1 << 30)), kind="fold"))
    if rng.random() < 0.1:
        radius = float(rng.uniform(0.05, 0.12)) * min(side_um, 5000.0)
        flaws.append(AirBubble(y, x, radius, 0.04 * radius + 3.0))
    return flaws


def _lay_tumour(ground: GroundPlan, patient: Patient, lay: _Lay, rng: np.random.Generator) -> None:
    """Sheets of small cells pressed together, nests of large ones with palisades and rosettes."""
    looks = patient.looks
    between_small = looks["small_nec"].built_as.get("large_nec", 0.0)
    between_large = looks["large_nec"].built_as.get("small_nec", 0.0)
    small = blend(_SMALL, _LARGE, between_small)
    large = blend(_LARGE, _SMALL, between_large)
    size = patient.preparation.size
    placed = _lattice(
        ground, (Ground.SMALL_CELL, Ground.CRUSHED), rng.uniform(9000, 14000) / size**2, 0.24, rng
    )
    crush_direction = rng.uniform(0.0, math.pi)
    sheet: list[Cell] = []
    for x, y in placed:
        cell = replace(draw_cell("small_nec", small, patient.preparation, rng, (0.0, 0.0)), x_um=x, y_um=y)
        if ground.kind_at(x, y) == Ground.CRUSHED:
            lay(_crushed(cell, crush_direction, rng))
        else:
            sheet.append(cell)
    for cell in _pressed_sheet(sheet, rng):
        lay(cell)
    nests = [
        _in_nest(ground, x, y, large, patient, rng)
        for x, y in _lattice(ground, (Ground.LARGE_CELL,), rng.uniform(4000, 7000) / size**2, 0.18, rng)
    ]
    for cell in _pressed_sheet(nests, rng):
        lay(cell)
    for x, y in placed[::70]:
        lay(draw_apoptotic_body(patient.preparation, rng, (x + 3.0, y + 3.0), 0.0))


def _in_nest(
    ground: GroundPlan, x: float, y: float, recipe: Recipe, patient: Patient, rng: np.random.Generator
) -> Cell:
    """A large cell; the outermost of a nest stand upright on its border, those of a rosette on its lumen."""
    depth, inward = ground.inward(x, y)
    for rosette in ground.rosettes:
        away = math.hypot(x - rosette.x_um, y - rosette.y_um)
        if away < 26.0:
            # Pushed outwards, as if the lumen had opened between them.
            inward = math.atan2(y - rosette.y_um, x - rosette.x_um)
            opened = math.sqrt(away**2 + (rosette.radius_um + 7.0) ** 2)
            x, y = rosette.x_um + opened * math.cos(inward), rosette.y_um + opened * math.sin(inward)
            depth = min(depth, opened - rosette.radius_um)
    cell = draw_cell("large_nec", recipe, patient.preparation, rng)
    if rng.random() < 0.006:
        cell = _mitosis(cell, patient.preparation, rng)
    elif depth < 13.0:
        longer = replace(recipe, aspect=recipe.aspect + 0.3)
        upright = draw_cell("large_nec", longer, patient.preparation, rng)
        cell = turned(upright, inward + float(rng.normal(0.0, math.radians(15.0))))
    return replace(cell, x_um=x, y_um=y)


def _lay_stroma(ground: GroundPlan, preparation: Preparation, lay: _Lay, rng: np.random.Generator) -> None:
    """Spindle nuclei along the fibres, lymphocytes in the infiltrates and here and there."""
    for x, y in _lattice(ground, (Ground.STROMA,), 900.0, 0.5, rng):
        if rng.random() < 0.12:
            lay(draw_cell("lymphocyte", _LYMPHOCYTE, preparation, rng, (x, y)))
            continue
        cell = draw_cell("fibroblast", _FIBROBLAST, preparation, rng, (0.0, 0.0))
        direction = ground.fibre_direction + rng.normal(0.0, 0.35)
        lay(replace(turned(cell, float(direction)), x_um=x, y_um=y))
    for x, y in _lattice(ground, (Ground.LYMPHOID,), rng.uniform(5000, 9000), 0.3, rng):
        lay(draw_cell("lymphocyte", _LYMPHOCYTE, preparation, rng, (x, y)))


def _lay_necrosis(ground: GroundPlan, preparation: Preparation, lay: _Lay, rng: np.random.Generator) -> None:
    """Ghosts of nuclei, and dust of broken ones."""
    for x, y in _lattice(ground, (Ground.NECROSIS,), 2500.0, 0.45, rng):
        if rng.random() < 0.45:
            ghost = draw_cell(
                "ghost", replace(_SMALL, haematoxylin=0.18, smudged=5.0), preparation, rng, (x, y)
            )
            lay(ghost)
        else:
            outline = perturbed(ellipse(float(rng.uniform(0.8, 2.6)), 1.3, rng.uniform(0, 3.1)), 0.12, rng)
            dust = Nucleus(0.0, 0.0, outline, float(rng.uniform(0.9, 1.5)), "smudged")
            lay(Cell("nuclear_dust", x, y, 0.0, (dust,), texture=int(rng.integers(1 << 30))))


def _lay_gland(gland: Gland, preparation: Preparation, lay: _Lay, rng: np.random.Generator) -> None:
    """Columnar cells around a lumen, nuclei at the base, long axes towards the middle."""
    radius = gland.radius_um - 6.0
    count = max(int(2.0 * math.pi * radius / (7.5 * preparation.size)), 6)
    for k in range(count):
        angle = 2.0 * math.pi * k / count + rng.normal(0.0, 0.02)
        away = radius + rng.normal(0.0, 1.3)
        x, y = gland.x_um + away * math.cos(angle), gland.y_um + away * math.sin(angle)
        cell = turned(draw_cell("columnar", _COLUMNAR, preparation, rng), angle)
        lay(replace(cell, x_um=x, y_um=y))


def _lay_vessel(vessel: Gland, preparation: Preparation, lay: _Lay, rng: np.random.Generator) -> None:
    """Flat nuclei in the wall, red cells inside."""
    for k in range(max(int(vessel.radius_um / 3.0), 3)):
        angle = 2.0 * math.pi * k / max(int(vessel.radius_um / 3.0), 3) + rng.normal(0.0, 0.15)
        cell = turned(draw_cell("endothelium", _FIBROBLAST, preparation, rng), angle + math.pi / 2.0)
        away = vessel.radius_um - 2.0
        lay(
            replace(
                cell, x_um=vessel.x_um + away * math.cos(angle), y_um=vessel.y_um + away * math.sin(angle)
            )
        )
    inner = max(vessel.radius_um - 8.0, 0.0)
    for _ in range(int(inner**2 * 0.035)):
        away, angle = inner * math.sqrt(rng.random()), rng.uniform(0.0, 2.0 * math.pi)
        cell = draw_red_cell(preparation, rng, (0.0, 0.0))
        if cell.cytoplasm is None:
            raise AssertionError("a red cell is all cytoplasm")
        body = replace(cell.cytoplasm, eosin=0.45, orange_g=0.0, light_green=0.0)
        x, y = vessel.x_um + away * math.cos(angle), vessel.y_um + away * math.sin(angle)
        lay(replace(cell, x_um=x, y_um=y, cytoplasm=body))


def _crushed(cell: Cell, direction: float, rng: np.random.Generator) -> Cell:
    """A nucleus smeared into a streak."""
    nucleus = cell.nuclei[0]
    diameter = equivalent_diameter_um(nucleus.outline)
    tilt = direction + float(rng.normal(0.0, 0.15))
    outline = perturbed(ellipse(diameter, float(rng.uniform(2.5, 5.0)), tilt), 0.05, rng)
    return replace(cell, nuclei=(replace(nucleus, outline=outline, chromatin="smudged", nucleoli=()),))


def _mitosis(cell: Cell, preparation: Preparation, rng: np.random.Generator) -> Cell:
    """A metaphase plate: a dark hairy bar without membrane."""
    bar = perturbed(ellipse(6.0 * preparation.size, 2.8, rng.uniform(0.0, math.pi)), 0.10, rng)
    return replace(cell, nuclei=(Nucleus(0.0, 0.0, bar, 1.6, "coarse"),), vacuoles=())


def _lattice(
    ground: GroundPlan, kinds: Sequence[Ground], per_mm2: float, jitter: float, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Places on a shaken hexagonal lattice of a density, where the ground is of one of the kinds."""
    pitch = math.sqrt(2.0 / (math.sqrt(3.0) * per_mm2)) * 1000.0
    rows, columns = ground.kinds.shape
    wanted = np.isin(ground.kinds, [int(kind) for kind in kinds])
    places: list[tuple[float, float]] = []
    if not wanted.any():
        return places
    for k, row in enumerate(np.arange(pitch / 2.0, rows * STEP_UM, pitch * math.sqrt(3.0) / 2.0)):
        xs = np.arange(pitch / 2.0 * (1 + k % 2), columns * STEP_UM, pitch)
        shaken = rng.normal(0.0, jitter * pitch, (len(xs), 2))
        for x, y in zip(xs + shaken[:, 0], row + shaken[:, 1], strict=True):
            r, c = int(y // STEP_UM), int(x // STEP_UM)
            if 0 <= r < rows and 0 <= c < columns and wanted[r, c]:
                places.append((float(x), float(y)))
    return places


def _pressed_sheet(cells: Sequence[Cell], rng: np.random.Generator) -> list[Cell]:
    """Flatten neighbouring nuclei and bodies against each other, most pairs of them."""
    shaped = list(cells)
    radii = [equivalent_diameter_um(cell.nuclei[0].outline) / 2.0 for cell in cells]
    reach = [max(radius, cell.reach_um * 0.8) for radius, cell in zip(radii, cells, strict=True)]
    bins: dict[tuple[int, int], list[int]] = {}
    width = 2.0 * max(reach, default=1.0)
    for i, cell in enumerate(cells):
        bins.setdefault((int(cell.x_um // width), int(cell.y_um // width)), []).append(i)
    for (column, row), members in bins.items():
        near = [j for dc in (-1, 0, 1) for dr in (-1, 0, 1) for j in bins.get((column + dc, row + dr), ())]
        for i in members:
            for j in near:
                if j <= i:
                    continue
                dx, dy = cells[j].x_um - cells[i].x_um, cells[j].y_um - cells[i].y_um
                distance = math.hypot(dx, dy)
                if distance < 0.5 or distance > reach[i] + reach[j]:
                    continue
                from_i = (distance**2 + radii[i] ** 2 - radii[j] ** 2) / (2.0 * distance)
                mould = distance < radii[i] + radii[j] and rng.random() < 0.85
                direction = math.atan2(dy, dx)
                shaped[i] = pressed(shaped[i], from_i, direction, nucleus=mould)
                shaped[j] = pressed(shaped[j], distance - from_i, direction + math.pi, nucleus=mould)
    return shaped

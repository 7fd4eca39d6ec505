"""Benign tissue of a section: stroma, infiltrate, vessels, glands and squamous epithelium; necrosis."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inkdot.synthetic.cells.cell_clusters import rotated_cell
from inkdot.synthetic.cells.draw_cells import Preparation, draw_cell, flatten_side
from inkdot.synthetic.cells.odd_cells import draw_red_cell
from inkdot.synthetic.cells.recipes import RECIPES
from inkdot.synthetic.cells.scene import Cell, Cytoplasm, Nucleus
from inkdot.synthetic.cells.shapes import (
    ANGLES,
    Outline,
    ellipse,
    equivalent_diameter_um,
    perturbed,
)
from inkdot.synthetic.histology.tissue_plan import STEP_UM, RoundStructure, TissueClass, TissuePlan

AddCell = Callable[[Cell], None]

_LYMPHOCYTE = replace(
    RECIPES["lymphocyte"], diameter_um=6.3, smallest_um=5.0, largest_um=8.0, light_green=0.0, p_naked=1.0
)
_FIBROBLAST = replace(
    RECIPES["arachnoid"],
    **{"diameter_um": 7.4, "diameter_sd_um": 0.9, "smallest_um": 4.5, "largest_um": 10.0, "aspect": 3.5},
    **{"aspect_sd": 0.7, "p_naked": 1.0, "haematoxylin": 0.75, "fine": 0.8, "reticular": 0.2},
)
_COLUMNAR = replace(
    RECIPES["choroid"],
    **{"diameter_um": 6.8, "diameter_sd_um": 0.6, "smallest_um": 5.0, "largest_um": 9.0, "aspect": 1.6},
    **{"p_naked": 1.0, "haematoxylin": 0.75},
)
_SQUAMOUS = replace(
    RECIPES["arachnoid"],
    **{"diameter_um": 7.4, "diameter_sd_um": 0.8, "smallest_um": 5.0, "largest_um": 10.0, "aspect": 1.25},
    **{"p_naked": 1.0, "haematoxylin": 0.60, "fine": 0.6, "reticular": 0.4},
)
_GHOST = replace(
    RECIPES["small_nec"],
    **{"diameter_um": 8.0, "smallest_um": 5.0, "largest_um": 12.0, "haematoxylin": 0.12, "smudged": 5.0},
    **{
        "p_naked": 0.0,
        "nc_low": 0.6,
        "nc_high": 0.75,
        "light_green": 0.0,
        "eosin": 0.06,
        "p_vague_edge": 1.0,
    },
)
_LAYERS = ((0.87, 1.01, 12000.0), (0.62, 0.87, 5200.0), (0.22, 0.62, 2600.0), (0.0, 0.22, 1300.0))
"""Layers of squamous epithelium from base to surface: lowest and highest maturity, nuclei per mm²."""


def add_benign_tissue(
    tissue_plan: TissuePlan, preparation: Preparation, add_cell: AddCell, rng: np.random.Generator
) -> None:
    """Add all cells other than tumour cells."""
    _add_stroma(tissue_plan, preparation, add_cell, rng)
    _add_necrosis(tissue_plan, preparation, add_cell, rng)
    _add_squamous(tissue_plan, preparation, add_cell, rng)
    for gland in tissue_plan.glands:
        _add_gland(gland, preparation, add_cell, rng)
    for vessel in tissue_plan.vessels:
        _add_vessel(vessel, preparation, add_cell, rng)


def _add_stroma(
    tissue_plan: TissuePlan, preparation: Preparation, add_cell: AddCell, rng: np.random.Generator
) -> None:
    """Add fibroblasts along the fibres, scattered lymphocytes, and infiltrates."""
    for x, y in positions_in_classes(tissue_plan, (TissueClass.STROMA,), 900.0, 0.5, rng):
        if rng.random() < 0.12:
            add_cell(draw_cell("lymphocyte", _LYMPHOCYTE, preparation, rng, (x, y)))
            continue
        cell = draw_cell("fibroblast", _FIBROBLAST, preparation, rng, (0.0, 0.0))
        direction = tissue_plan.fibre_at(x, y) + rng.normal(0.0, 0.2)
        add_cell(replace(rotated_cell(cell, float(direction)), x_um=x, y_um=y))
    for x, y in positions_in_classes(tissue_plan, (TissueClass.LYMPHOID,), rng.uniform(5000, 9000), 0.3, rng):
        add_cell(draw_cell("lymphocyte", _LYMPHOCYTE, preparation, rng, (x, y)))


def _add_necrosis(
    tissue_plan: TissuePlan, preparation: Preparation, add_cell: AddCell, rng: np.random.Generator
) -> None:
    """Add ghost cells and nuclear dust (karyorrhexis)."""
    for x, y in positions_in_classes(tissue_plan, (TissueClass.NECROSIS,), 3200.0, 0.45, rng):
        if rng.random() < 0.5:
            add_cell(draw_cell("ghost", _GHOST, preparation, rng, (x, y)))
            continue
        for _ in range(
            1 + int(rng.random() < 0.3) * int(rng.integers(1, 5))
        ):  # a nucleus breaks into several grains
            outline = perturbed(ellipse(float(rng.uniform(0.6, 2.4)), 1.3, rng.uniform(0, 3.1)), 0.12, rng)
            dust = Nucleus(0.0, 0.0, outline, float(rng.uniform(0.6, 1.3)), "smudged")
            at = (x + float(rng.normal(0.0, 2.5)), y + float(rng.normal(0.0, 2.5)))
            add_cell(Cell("nuclear_dust", *at, 0.0, (dust,), texture=int(rng.integers(1 << 30))))


def _add_squamous(
    tissue_plan: TissuePlan, preparation: Preparation, add_cell: AddCell, rng: np.random.Generator
) -> None:
    """Add basal cells with dark upright nuclei, intermediate cells with round ones, and flat surface cells."""
    cells: list[Cell] = []
    for low, high, per_mm2 in _LAYERS:
        where = (tissue_plan.maturity >= low) & (tissue_plan.maturity < high)
        for x, y in lattice_positions(where, per_mm2, 0.2, rng):
            cell = draw_cell("squamous", _SQUAMOUS, preparation, rng)
            if low > 0.8:
                cell = _with_nucleus_scaled(
                    rotated_cell(cell, math.pi / 2.0 + float(rng.normal(0.0, 0.25))), 0.88, 1.4
                )
            elif low < 0.1:
                cell = _with_nucleus_scaled(rotated_cell(cell, float(rng.normal(0.0, 0.2))), 0.75, 1.3)
            width = 1000.0 / math.sqrt(per_mm2) * preparation.size
            flat = 2.4 if low < 0.1 else 1.15
            body = perturbed(ellipse(1.4 * width, flat, float(rng.normal(0.0, 0.15))), 0.05, rng)
            eosin = 0.02 + 0.06 * (1.0 - low)
            cells.append(
                replace(cell, x_um=x, y_um=y, cytoplasm=Cytoplasm(body, eosin=eosin, edge_um=0.5, grain=0.08))
            )
    for cell in flatten_contacts_in_sheet(cells, rng, moulding=0.0):
        add_cell(cell)


def _with_nucleus_scaled(cell: Cell, size: float, dye: float) -> Cell:
    """Multiply size and haematoxylin of the nucleus by factors."""
    nuclei = tuple(
        replace(n, outline=n.outline * np.float32(size), haematoxylin=n.haematoxylin * dye)
        for n in cell.nuclei
    )
    return replace(cell, nuclei=nuclei)


def _add_gland(
    gland: RoundStructure, preparation: Preparation, add_cell: AddCell, rng: np.random.Generator
) -> None:
    """Add the columnar cells of an endocervical gland: mucin towards the lumen, basal nuclei."""
    size = preparation.size
    height, width = rng.uniform(18.0, 24.0) * size, 6.8 * size
    count = max(int(2.0 * math.pi * (gland.radius_um - 0.3 * height) / width), 8)
    for k in range(count):
        angle = 2.0 * math.pi * k / count + rng.normal(0.0, 0.02)
        away = gland.radius_at(angle) - height / 2.0
        cell = rotated_cell(draw_cell("columnar", _COLUMNAR, preparation, rng), angle)
        basal = height / 2.0 - 5.5 * size + float(rng.normal(0.0, 0.9))
        nuclei = tuple(
            replace(n, dx_um=basal * math.cos(angle), dy_um=basal * math.sin(angle)) for n in cell.nuclei
        )
        column = _column(height * float(rng.uniform(0.94, 1.06)), width * 1.15, angle)
        body = Cytoplasm(column, eosin=0.07, haematoxylin=0.05, edge_um=0.5, grain=0.2)
        x, y = gland.x_um + away * math.cos(angle), gland.y_um + away * math.sin(angle)
        add_cell(replace(cell, x_um=x, y_um=y, nuclei=nuclei, cytoplasm=body))


def _column(height_um: float, width_um: float, direction: float) -> Outline:
    """A rectangle with rounded corners, its long side along a direction (radians)."""
    cosine, sine = (
        np.abs(np.cos(ANGLES - np.float32(direction))),
        np.abs(np.sin(ANGLES - np.float32(direction))),
    )
    along, across = cosine / (height_um / 2.0), sine / (width_um / 2.0)
    return ((along**6 + across**6) ** (-1.0 / 6.0)).astype(np.float32)


def _add_vessel(
    vessel: RoundStructure, preparation: Preparation, add_cell: AddCell, rng: np.random.Generator
) -> None:
    """Add endothelium and red cells of a vessel."""
    count = max(int(vessel.radius_um / 2.0), 6)
    for k in range(count):
        angle = 2.0 * math.pi * k / count + rng.normal(0.0, 0.15)
        flat = rotated_cell(draw_cell("endothelium", _FIBROBLAST, preparation, rng), angle + math.pi / 2.0)
        cell = _with_nucleus_scaled(flat, 0.72, 1.0)
        away = vessel.radius_at(angle) - 1.0
        x, y = vessel.x_um + away * math.cos(angle), vessel.y_um + away * math.sin(angle)
        add_cell(replace(cell, x_um=x, y_um=y))
    inner = max(vessel.radius_um * (1.0 - vessel.wobble) - 7.0, 0.0)
    for _ in range(int(inner**2 * 0.055)):
        away, angle = inner * math.sqrt(rng.random()), rng.uniform(0.0, 2.0 * math.pi)
        cell = draw_red_cell(preparation, rng, (0.0, 0.0), p_ghost=0.0)
        if cell.cytoplasm is None:
            raise AssertionError("a red cell has cytoplasm")
        body = replace(cell.cytoplasm, eosin=0.45, orange_g=0.0, light_green=0.0)
        x, y = vessel.x_um + away * math.cos(angle), vessel.y_um + away * math.sin(angle)
        add_cell(replace(cell, x_um=x, y_um=y, cytoplasm=body))


def positions_in_classes(
    tissue_plan: TissuePlan,
    classes: Sequence[TissueClass],
    per_mm2: float,
    jitter: float,
    rng: np.random.Generator,
) -> list[tuple[float, float]]:
    """Positions in tissue of some classes; see :func:`lattice_positions`."""
    return lattice_positions(
        np.isin(tissue_plan.classes, [int(kind) for kind in classes]), per_mm2, jitter, rng
    )


def lattice_positions(
    target: npt.NDArray[np.bool_], per_mm2: float, jitter: float, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Positions (x, y) in µm on a jittered hexagonal lattice.

    Args:
        target: Where positions may lie, bool per 4 µm, shape [rows, columns].
        per_mm2: Density per mm².
        jitter: Standard deviation of the jitter, as a fraction of the pitch.
        rng: Random generator.
    """
    pitch = math.sqrt(2.0 / (math.sqrt(3.0) * per_mm2)) * 1000.0
    rows, columns = target.shape
    positions: list[tuple[float, float]] = []
    if not target.any():
        return positions
    for k, row in enumerate(np.arange(pitch / 2.0, rows * STEP_UM, pitch * math.sqrt(3.0) / 2.0)):
        xs = np.arange(pitch / 2.0 * (1 + k % 2), columns * STEP_UM, pitch)
        jittered = rng.normal(0.0, jitter * pitch, (len(xs), 2))
        for x, y in zip(xs + jittered[:, 0], row + jittered[:, 1], strict=True):
            r, c = int(y // STEP_UM), int(x // STEP_UM)
            if 0 <= r < rows and 0 <= c < columns and target[r, c]:
                positions.append((float(x), float(y)))
    return positions


def flatten_contacts_in_sheet(
    cells: Sequence[Cell], rng: np.random.Generator, moulding: float = 0.85
) -> list[Cell]:
    """Flatten neighbouring cells at their contact planes, and touching nuclei with probability ``moulding``."""
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
                mould = distance < radii[i] + radii[j] and rng.random() < moulding
                direction = math.atan2(dy, dx)
                shaped[i] = flatten_side(shaped[i], from_i, direction, nucleus=mould)
                shaped[j] = flatten_side(shaped[j], distance - from_i, direction + math.pi, nucleus=mould)
    return shaped

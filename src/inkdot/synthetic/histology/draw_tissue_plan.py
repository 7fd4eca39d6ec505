"""Draw the tissue plan of a section: tumour, stroma, epithelium, necrosis, lumina and tears."""

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.synthetic.histology.tissue_plan import (
    STEP_UM,
    TUMOUR_CLASSES,
    TUMOUR_WITH_NECROSIS,
    ClassMap,
    FloatMap,
    RoundStructure,
    TissueClass,
    TissuePlan,
)

P_TEAR = 0.2
"""Share of sections with a tear."""

P_PALISADE = 0.5
"""Share of large-cell nests with a peripheral palisade."""

P_AZZOPARDI = 0.10
"""Share of vessels in small-cell sections with basophilic walls (Azzopardi phenomenon)."""

P_BENIGN_EPITHELIUM = 0.4
"""Share of tumour sections with cervical glands, squamous epithelium, or both."""

BoolMap = npt.NDArray[np.bool_]


def draw_tissue_plan(side_um: float, tumour: str, rng: np.random.Generator) -> TissuePlan:
    """Draw the plan of a square section.

    Args:
        side_um: Side in µm.
        tumour: ``small_cell``, ``large_cell``, ``mixed`` (both side by side), or empty.
        rng: Random generator.
    """
    n = max(round(side_um / STEP_UM), 16)
    steps = np.linspace(-1.0, 1.0, n, dtype=np.float32)
    away = (steps[:, None] ** 4 + steps[None, :] ** 4) ** 0.25 + 0.035 * _noise(n, 140.0, rng)
    classes = np.where(away < 0.88, TissueClass.STROMA, TissueClass.GLASS).astype(np.uint8)
    tissue = classes == TissueClass.STROMA
    small, large, palisaded = _tumour_fields(n, tumour, rng)
    classes[small & tissue] = TissueClass.SMALL_CELL
    classes[large & tissue] = TissueClass.LARGE_CELL
    benign = not tumour or rng.random() < P_BENIGN_EPITHELIUM
    surface, glandular = (benign and bool(rng.random() < 0.7) for _ in range(2))
    maturity = _squamous(classes, rng) if surface else np.full((n, n), -1.0, np.float32)
    _infiltrate(classes, rng)
    _necrosis(classes, rng)
    if tumour in {"small_cell", "mixed"}:
        crushed = (_noise(n, 90.0, rng) > rng.uniform(1.0, 1.7)) & (classes == TissueClass.SMALL_CELL)
        classes[crushed] = TissueClass.CRUSHED
    most_glands = int(rng.integers(2, 6)) if tumour else int(rng.integers(6, 14))
    with_glands = benign and (glandular or not surface)
    glands = _rings(classes, most_glands if with_glands else 0, (35.0, 80.0), rng, wobble=0.12)
    for gland in glands:
        gland.fill(classes, 2.0, TissueClass.GLAND)
        gland.fill(classes, -4.0, TissueClass.LUMEN)
    vessels = _vessels(classes, tumour, rng)
    if rng.random() < P_TEAR:
        _tear(classes, rng)
    solid = np.isin(classes, TUMOUR_WITH_NECROSIS)
    border = cv2.distanceTransform(solid.astype(np.uint8), cv2.DIST_L2, 5)
    border_um = np.asarray(border, np.float32) * np.float32(STEP_UM)
    rosettes = _rosettes(classes, border_um, rng)
    for ring in rosettes:
        _disc(classes, ring, ring.radius_um, TissueClass.LUMEN)
    direction = float(rng.uniform(0.0, math.pi))
    bend = 15.0 * _noise(n, 110.0, rng) + 2.5 * _noise(n, 30.0, rng)
    maturity[classes != TissueClass.SQUAMOUS] = -1.0
    return TissuePlan(
        classes,
        border_um,
        glands,
        vessels,
        rosettes,
        direction,
        bend.astype(np.float32),
        maturity.astype(np.float32),
        palisaded,
    )


def _infiltrate(classes: ClassMap, rng: np.random.Generator) -> None:
    """Turn up to 30 % of the stroma into lymphoid infiltrate, in place."""
    stroma = classes == TissueClass.STROMA
    if not stroma.any():
        return
    field = _noise(classes.shape[0], 160.0, rng)
    field[~stroma] = -np.inf
    classes[field > float(np.quantile(field[stroma], 1.0 - rng.uniform(0.0, 0.30)))] = TissueClass.LYMPHOID


def _squamous(classes: ClassMap, rng: np.random.Generator) -> FloatMap:
    """Cover the upper border with squamous epithelium with rete pegs, in place; give its maturity map."""
    n = classes.shape[0]
    tissue: BoolMap = np.not_equal(classes, int(TissueClass.GLASS))
    first = _uppermost(tissue)
    smooth = np.asarray(cv2.blur(first[None, :], (9, 1)), np.float32)[0]
    depth = (np.arange(n, dtype=np.float32)[:, None] - smooth[None, :]) * np.float32(STEP_UM)
    pegs = 35.0 * np.maximum(_noise(n, 90.0, rng)[n // 2], -0.8) + 10.0 * _noise(n, 30.0, rng)[n // 2]
    thickness = np.maximum(rng.uniform(100.0, 170.0) + pegs, 50.0)[None, :]
    maturity = (depth / thickness).astype(np.float32)
    covered = tissue & (maturity < 1.0) & (maturity > -0.15)  # the sides have no epithelium
    classes[covered] = TissueClass.SQUAMOUS
    under = tissue & ~covered & (depth < thickness + 45.0)  # stroma separates epithelium and tumour
    classes[under] = TissueClass.STROMA
    return np.where(covered, np.maximum(maturity, 0.0), np.float32(-1.0)).astype(np.float32)


def _uppermost(tissue: BoolMap) -> FloatMap:
    """First row with tissue in every column, [columns]; interpolated where there is none."""
    rows = np.array(
        [int(np.argmax(column)) if bool(np.any(column)) else -1 for column in tissue.T], np.float64
    )
    known = rows >= 0.0
    positions = np.arange(len(rows), dtype=np.float64)
    return np.asarray(np.interp(positions, positions[known], rows[known]), np.float32)


def _vessels(classes: ClassMap, tumour: str, rng: np.random.Generator) -> tuple[RoundStructure, ...]:
    """Draw vessels in the stroma and in sheets of small cells, in place."""
    vessels = _rings(classes, int(rng.integers(2, 7)), (12.0, 26.0), rng, wobble=0.10)
    inside = (TissueClass.SMALL_CELL, TissueClass.NECROSIS, TissueClass.CRUSHED)
    if tumour in {"small_cell", "mixed"}:
        vessels += _rings(classes, int(rng.integers(2, 6)), (12.0, 20.0), rng, where=inside, wobble=0.10)
        vessels = tuple(replace(one, basophilic=bool(rng.random() < P_AZZOPARDI)) for one in vessels)
    for vessel in vessels:
        around = (9.0, TissueClass.BASOPHILIC) if vessel.basophilic else (3.0, TissueClass.STROMA)
        vessel.fill(classes, *around)
        vessel.fill(classes, -4.0, TissueClass.LUMEN)
    return vessels


def _tumour_fields(n: int, tumour: str, rng: np.random.Generator) -> tuple[BoolMap, BoolMap, BoolMap]:
    """Masks of small-cell sheets, large-cell nests, and nests with a palisade, [n, n] each."""
    nothing = np.zeros((n, n), np.bool_)
    if not tumour:
        return nothing, nothing, nothing
    side = np.linspace(-1.0, 1.0, n, dtype=np.float32)[None, :] + 0.25 * _noise(n, 200.0, rng)
    where_small = {"small_cell": ~nothing, "large_cell": nothing, "mixed": side < 0.0}[tumour]
    where_large = {"small_cell": nothing, "large_cell": ~nothing, "mixed": side > 0.12}[tumour]
    sheet = _noise(n, 180.0, rng)
    cover = float(np.quantile(sheet, 1.0 - rng.uniform(0.62, 0.82)))
    nests, palisaded = _nests(n, rng)
    return (sheet > cover) & where_small, nests & where_large, palisaded


def _nests(n: int, rng: np.random.Generator) -> tuple[BoolMap, BoolMap]:
    """Masks of rounded nests of 80 to 300 µm between septa (eroded Voronoi cells), and of those with a palisade."""
    pitch = rng.uniform(130.0, 260.0) / STEP_UM
    seeds = np.ones((n, n), np.uint8)
    for k, row in enumerate(np.arange(-pitch, n, pitch * 0.87)):
        for column in np.arange(-pitch * (1 + k % 2 / 2), n, pitch):
            x, y = (column + rng.uniform(0, pitch * 0.8), row + rng.uniform(0, pitch * 0.7))
            if 0 <= x < n and 0 <= y < n:
                seeds[int(y), int(x)] = 0
    _, found = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    labels = np.asarray(found, np.int32)
    border = np.zeros((n, n), np.bool_)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    kept = rng.random(int(labels.max()) + 1) > 0.12
    depth = (
        np.asarray(cv2.distanceTransform((~border).astype(np.uint8), cv2.DIST_L2, 5), np.float32) * STEP_UM
    )
    septum = rng.uniform(13.0, 22.0) + 4.0 * _noise(n, 60.0, rng)
    inside = ((depth > septum) & kept[labels]).astype(np.float32)
    upright = rng.random(int(labels.max()) + 1) < P_PALISADE
    return np.asarray(cv2.GaussianBlur(inside, (0, 0), 12.0 / STEP_UM)) > 0.5, upright[labels]


def _necrosis(classes: ClassMap, rng: np.random.Generator) -> None:
    """Turn inner parts of the tumour into geographic necrosis, in place: 10 to 35 % (large-cell) or 5 to 25 %."""
    solid = np.isin(classes, TUMOUR_CLASSES)
    if not solid.any():
        return
    large = classes == TissueClass.LARGE_CELL
    share = rng.uniform(0.10, 0.35) if large.sum() > solid.sum() / 2 else rng.uniform(0.05, 0.25)
    depth = np.asarray(cv2.distanceTransform(solid.astype(np.uint8), cv2.DIST_L2, 5), np.float32) * STEP_UM
    rank = (
        depth / 45.0 + 0.9 * _noise(classes.shape[0], 130.0, rng) + 0.15 * _noise(classes.shape[0], 25.0, rng)
    )
    rank[~solid | (depth < 18.0)] = -np.inf
    level = float(np.quantile(rank[solid], 1.0 - share))
    if np.isfinite(level):
        classes[rank > level] = TissueClass.NECROSIS


def _tear(classes: ClassMap, rng: np.random.Generator) -> None:
    """Draw a tear along a curved line, in place."""
    n = classes.shape[0]
    rows, columns = np.mgrid[0:n, 0:n].astype(np.float32) / np.float32(n) - np.float32(0.5)
    angle, bend = rng.uniform(0.0, math.pi), rng.uniform(-0.8, 0.8)
    along = columns * math.cos(angle) + rows * math.sin(angle)
    across = -columns * math.sin(angle) + rows * math.cos(angle) + bend * along**2 + rng.uniform(-0.2, 0.2)
    width_um = rng.uniform(8.0, 30.0) * (1.0 + 0.4 * _noise(n, 80.0, rng))
    start = rng.uniform(-0.5, 0.1)
    torn = (np.abs(across) * n * STEP_UM < width_um / 2.0) & (along > start) & (along < start + 0.4)
    classes[torn] = TissueClass.GLASS


def _rings(
    classes: ClassMap,
    count: int,
    size_um: tuple[float, float],
    rng: np.random.Generator,
    where: Sequence[TissueClass] = (TissueClass.STROMA, TissueClass.LYMPHOID),
    wobble: float = 0.0,
) -> tuple[RoundStructure, ...]:
    """Positions of round structures that fit into tissue of some classes; fewer than ``count`` where there is no space."""
    low_um, high_um = size_um
    stroma = np.isin(classes, where).astype(np.uint8)
    rings: list[RoundStructure] = []
    for _ in range(count):
        room = np.asarray(cv2.distanceTransform(stroma, cv2.DIST_L2, 5), np.float32) * STEP_UM
        rows, columns = np.nonzero(room > low_um + 6.0)
        if not len(rows):
            break
        k = int(rng.integers(len(rows)))
        fitting = (float(room[rows[k], columns[k]]) - 6.0) / (1.0 + 1.45 * wobble)
        radius, turn = min(float(rng.uniform(low_um, high_um)), fitting), float(rng.uniform(0.0, math.pi))
        position = (float(columns[k] + 0.5) * STEP_UM, float(rows[k] + 0.5) * STEP_UM)
        ring = RoundStructure(*position, radius, wobble * float(rng.uniform(0.3, 1.0)), turn)
        _disc(stroma, ring, radius * (1.0 + 1.45 * wobble) + 10.0, 0)
        rings.append(ring)
    return tuple(rings)


def _rosettes(classes: ClassMap, border_um: FloatMap, rng: np.random.Generator) -> tuple[RoundStructure, ...]:
    """Draw rosettes with about 5 to 15 % of the cells of nests, at least 30 µm inside and 60 µm from each other."""
    room = (classes == TissueClass.LARGE_CELL) & (border_um > 30.0)
    nests = float((classes == TissueClass.LARGE_CELL).sum()) * STEP_UM**2 / 25_000.0
    rosettes: list[RoundStructure] = []
    for _ in range(round(nests * rng.uniform(0.4, 1.2))):
        rows, columns = np.nonzero(room)
        if not len(rows):
            break
        k = int(rng.integers(len(rows)))
        ring = RoundStructure(
            float(columns[k] + 0.5) * STEP_UM, float(rows[k] + 0.5) * STEP_UM, float(rng.uniform(5, 9))
        )
        free = room.astype(np.uint8)
        _disc(free, ring, 60.0, 0)
        room = free.astype(np.bool_)
        rosettes.append(ring)
    return tuple(rosettes)


def _disc(classes: ClassMap, ring: RoundStructure, radius_um: float, value: int) -> None:
    centre = (round(ring.x_um / STEP_UM - 0.5), round(ring.y_um / STEP_UM - 0.5))
    cv2.circle(classes, centre, max(round(radius_um / STEP_UM), 1), int(value), thickness=-1)


def _noise(n: int, scale_um: float, rng: np.random.Generator) -> FloatMap:
    """Smooth noise of about unit variance, [n, n]."""
    coarse = max(round(n * STEP_UM / scale_um), 2) + 3
    grid = rng.standard_normal((coarse, coarse)).astype(np.float32)
    smooth = np.asarray(cv2.resize(grid, (n, n), interpolation=cv2.INTER_CUBIC), np.float32)
    return smooth / np.float32(max(float(smooth.std()), 1e-6))

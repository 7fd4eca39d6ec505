"""Draw docs/images/architecture.svg: the packages of Inkdot by layer, and what imports what.

Layers come from the import-linter contract in pyproject.toml, imports from grimp's graph of the code. An import that follows
from two others (a to b to c implies a to c) is not drawn. `python scripts/architecture_diagram.py` writes the file anew;
tests/project/test_architecture.py holds it to be current.
"""

import sys
import tomllib
from html import escape
from itertools import pairwise
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "images" / "architecture.svg"

ROLES = {
    "cli": "commands, options, messages",
    "api": "import inkdot, for notebooks",
    "stages": "one file per command",
    "training": "train, MIL, calibrate, release",
    "serve": "local review server",
    "case_model": "slide and case columns together",
    "evaluation": "metrics and report on labelled data",
    "datasets": "labels, cohorts, splits, caches",
    "pipeline": "tile, score, predict one slide",
    "annotations": "QuPath, ASAP, ImageScope, boxes",
    "execution": "workers, Ray, resume",
    "review": "gallery, verdicts, active learning",
    "tiling": "foreground, adequacy, clusters, tiles",
    "cell_finder": "network that finds nucleated cells",
    "slides": "open slide files, write pyramids",
    "morphometry": "outline and measure nuclei",
    "model": "network, predictor, export",
    "synthetic": "synthetic slides with truth",
    "metrics": "AUC, FROC, calibration, intervals",
    "storage": "tables, ledger, model files",
    "config": "YAML settings",
    "cases": "the case around the slide",
    "manifest": "slides.csv, images.csv",
    "labels": "heads, classes, targets",
    "geometry": "coordinate frames, read plans",
    "records": "frozen records, slide protocol",
    "units": "units as types",
    "errors": "errors by who must act",
    "plotting": "one style for plots",
    "bounded_json": "read JSON within limits",
}

BOX_WIDTH, BOX_HEIGHT, GAP, ROW, WIDTH, TOP, THREAD = 254, 56, 16, 98, 1300, 16, 4


def layers() -> list[list[str]]:
    """Packages from the top layer to the lowest, as pyproject.toml names them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    named = next(item["layers"] for item in contracts if item["id"] == "layers")
    rows = [[name.strip() for name in layer.split("|")] for layer in named]
    return [[name for name in row if not name.startswith("(")] for row in rows if not row[0].startswith("(")]


def imports() -> set[tuple[str, str]]:
    """Pairs of packages of which the first imports the second."""
    graph = grimp.build_graph("inkdot")
    pairs: set[tuple[str, str]] = set()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            ends = [name.split(".")[1] for name in (module, imported) if "." in name]
            if len(ends) == 2 and ends[0] != ends[1] and "__main__" not in ends:
                pairs.add((ends[0], ends[1]))
    return pairs


def reduced(pairs: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs that do not follow from others."""
    reach: dict[str, set[str]] = {}

    def reachable(name: str) -> set[str]:
        if name not in reach:
            below = {b for a, b in pairs if a == name}
            reach[name] = below.union(*(reachable(other) for other in sorted(below)))
        return reach[name]

    return sorted(
        (a, b) for a, b in pairs if not any(b in reachable(c) for x, c in pairs if x == a and c != b)
    )


def chains(rows: list[list[str]], edges: list[tuple[str, str]]) -> list[list[str]]:
    """Each edge as the boxes that it connects and its position in every layer that it crosses."""
    layer = {name: index for index, row in enumerate(rows) for name in row}
    ways: list[list[str]] = []
    for a, b in edges:
        between = [f"{a}>{b}@{index}" for index in range(layer[a] + 1, layer[b])]
        for name, index in zip(between, range(layer[a] + 1, layer[b]), strict=True):
            rows[index].append(name)
        ways.append([a, *between, b])
    return ways


def width(name: str) -> float:
    return THREAD if ">" in name else BOX_WIDTH


def centres(rows: list[list[str]], ways: list[list[str]]) -> dict[str, float]:
    """The x of every place: rows are ordered by the mean x of the neighbours, some times up and down."""
    near: dict[str, list[str]] = {name: [] for row in rows for name in row}
    for way in ways:
        for one, other in pairwise(way):
            near[one].append(other)
            near[other].append(one)
    x: dict[str, float] = {}

    def place(row: list[str]) -> None:
        left = (WIDTH - sum(width(name) for name in row) - (len(row) - 1) * GAP) / 2
        for name in row:
            x[name] = left + width(name) / 2
            left += width(name) + GAP

    def mean(name: str) -> float:
        return round(sum(x[other] for other in near[name]) / max(1, len(near[name])), 3)

    for row in rows:
        place(row)
    for turn in range(24):
        for row in rows if turn % 2 == 0 else reversed(rows):
            row.sort(key=lambda name: (mean(name), name))
            place(row)
    return x


def path(way: list[str], x: dict[str, float], y: dict[str, int], ends: tuple[float, float]) -> str:
    """SVG path of one arrow: straight through layers, bent between them."""
    at, here = ends[0], y[way[0]] + BOX_HEIGHT
    d = f"M{at:.1f} {here}"
    for name in way[1:]:
        to, there = (ends[1], y[name] - 2) if name == way[-1] else (x[name], y[name])
        middle = (here + there) / 2
        d += f"C{at:.1f} {middle:.1f} {to:.1f} {middle:.1f} {to:.1f} {there}"
        at, here = to, there
        if name != way[-1]:
            here += BOX_HEIGHT
            d += f"V{here}"
    return d


def spread(names: list[str], name: str, centre: float, x: dict[str, float]) -> float:
    """Where an arrow touches a box, so that arrows of one box lie beside each other."""
    order = sorted(names, key=lambda other: (x[other], other))
    return centre + BOX_WIDTH * 0.7 * ((order.index(name) + 1) / (len(order) + 1) - 0.5)


def svg(rows: list[list[str]], edges: list[tuple[str, str]]) -> str:
    rows = [list(row) for row in rows]
    ways = chains(rows, edges)
    x = centres(rows, ways)
    y = {name: TOP + index * ROW for index, row in enumerate(rows) for name in row}
    height = TOP + len(rows) * ROW - (ROW - BOX_HEIGHT) + TOP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-label="Packages of Inkdot by layer; arrows run from a package to what it imports" '
        'font-family="Helvetica, Arial, sans-serif">',
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#5b6b95"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for index in range(0, len(rows), 2):
        parts.append(
            f'<rect y="{TOP + index * ROW - 12}" width="{WIDTH}" height="{BOX_HEIGHT + 24}" fill="#f4f6fb"/>'
        )
    for way in ways:
        a, b = way[0], way[-1]
        start = spread([other[1] for other in ways if other[0] == a], way[1], x[a], x)
        end = spread([other[-2] for other in ways if other[-1] == b], way[-2], x[b], x)
        parts.append(
            f'<path d="{path(way, x, y, (start, end))}" fill="none" stroke="#5b6b95" stroke-width="1.6" '
            f'marker-end="url(#arrow)"><title>{a} imports {b}</title></path>'
        )
    for row in rows:
        for name in (item for item in row if ">" not in item):
            left = x[name] - BOX_WIDTH / 2
            parts.append(
                f'<rect x="{left:.1f}" y="{y[name]}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="#2b3a67"/>'
                f'<text x="{x[name]:.1f}" y="{y[name] + 24}" text-anchor="middle" font-size="20" font-weight="bold" '
                f'fill="#ffffff">{escape(name)}</text>'
                f'<text x="{x[name]:.1f}" y="{y[name] + 44}" text-anchor="middle" font-size="14" fill="#d9e0f2">'
                f"{escape(ROLES[name])}</text>"
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


def drawing() -> str:
    """The diagram of the code as it is."""
    return svg(layers(), reduced(imports()))


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    out.write_text(drawing(), encoding="utf-8")

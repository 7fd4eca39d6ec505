"""Upper bound of the AUC on synthetic clusters: the reference for every `selftest_` metric.

    python experiments/achievable_auc.py [--clusters 1500]

Clusters are drawn from new patients. A logistic regression on all parameters of all cells (which no image shows so exactly),
their squares and products classifies them. A network above this bound uses a shortcut: something in the images that gives
the class away and that no slide would show. Takes about a minute; docs/explanation/synthetic.md has the results.
"""
# pyright: basic

import argparse
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import roc_auc
from inkdot.synthetic.cells.scene import CHROMATINS, Cell
from inkdot.synthetic.cells.shapes import area_um2, equivalent_diameter_um
from inkdot.synthetic.cohort.patients import MIMICS, draw_patient
from inkdot.synthetic.cytology.groups import Group, draw_group

_RIDGE = 3.0
_MIMIC_SHARES = (0.50, 0.35, 0.10, 0.05)

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bound:
    """Simulated area under the ROC curve at the level of clusters, for one head.

    Attributes:
        head: The two classes compared.
        selftest_best_auc: AUC of the reader that knows all parameters.
        selftest_diameter_auc: AUC of the mean nuclear diameter alone.
        clusters: Number of clusters.
    """

    head: str
    selftest_best_auc: float
    selftest_diameter_auc: float
    clusters: int


def simulated_bounds(clusters_per_class: int = 1500, seed: int = 0) -> tuple[Bound, Bound]:
    """Bounds for small against large cell, and for tumour against benign groups.

    Args:
        clusters_per_class: Small-cell and large-cell clusters drawn; twice as many benign ones are.
        seed: Same seed, same result.
    """
    rng = np.random.default_rng([seed, 0xB07D])
    small = np.stack([_summary(_draw("small_nec", rng)) for _ in range(clusters_per_class)])
    large = np.stack([_summary(_draw("large_nec", rng)) for _ in range(clusters_per_class)])
    kinds = [str(rng.choice(MIMICS, p=_MIMIC_SHARES)) for _ in range(2 * clusters_per_class)]
    benign = np.stack([_summary(_draw(kind, rng)) for kind in kinds])
    return (
        _bound("small cell against large cell", small, large, rng),
        _bound("tumour against benign groups", benign, np.concatenate([small, large]), rng),
    )


def _draw(kind: str, rng: np.random.Generator) -> Group:
    return draw_group(kind, draw_patient("", rng), rng)


def _bound(head: str, negative: Array, positive: Array, rng: np.random.Generator) -> Bound:
    values = np.concatenate([negative, positive])
    truth = np.concatenate([np.zeros(len(negative)), np.ones(len(positive))])
    order = rng.permutation(len(values))
    values, truth = values[order], truth[order]
    score = np.zeros(len(values))
    folds = np.arange(len(values)) % 5
    for fold in range(5):  # every cluster comes from a patient of its own: folds cannot leak
        training = folds != fold
        score[~training] = _regression(values[training], truth[training], values[~training])
    diameter = roc_auc(truth == 1, values[:, 0])
    return Bound(head, roc_auc(truth == 1, score), max(diameter, 1.0 - diameter), len(values))


def _summary(group: Group) -> Array:
    """Everything about a cluster that could tell classes apart; the mean diameter first."""
    cells = [cell for cell in group.cells if cell.kind not in {"apoptotic_body", "nuclear_streak"}]
    diameters = np.array([_diameter(cell) for cell in cells])
    ratios = np.array([_nc_ratio(cell) for cell in cells])
    nuclei = [cell.nuclei[0] for cell in cells]
    states = [np.mean([cell.state == name for cell in cells]) for name in ("dividing", "degenerate")]
    bodies = [cell.cytoplasm for cell in cells if cell.cytoplasm is not None]
    largest = [max((spot.diameter_um for spot in nucleus.nucleoli), default=0.0) for nucleus in nuclei]
    shape = [float(nucleus.outline.max() / nucleus.outline.min()) for nucleus in nuclei]
    chromatin = [np.mean([nucleus.chromatin == name for nucleus in nuclei]) for name in CHROMATINS]
    green = float(np.mean([body.light_green for body in bodies])) if bodies else 0.15
    eosin = float(np.mean([body.eosin for body in bodies])) if bodies else 0.02
    values = [
        diameters.mean(),
        diameters.std() / diameters.mean(),
        np.log(len(cells)),
        np.mean([nucleus.haematoxylin for nucleus in nuclei]),
        ratios.mean(),
        ratios.std(),
        np.log(green),
        eosin,
        len(bodies) / len(cells),
        np.mean(largest),
        np.mean([bool(nucleus.nucleoli) for nucleus in nuclei]),
        np.mean([len(cell.vacuoles) for cell in cells]),
        np.mean([bool(cell.vacuoles) for cell in cells]),
        np.mean(shape),
        np.std(shape),
        *chromatin,
        *states,
        np.mean([cell.kind == "monocyte" for cell in cells]),
        *_spacing(cells, diameters),
    ]
    return np.array(values, dtype=np.float64)


def _spacing(cells: list[Cell], diameters: Array) -> tuple[float, float, float, float]:
    """Distance to the nearest neighbour in nuclear diameters, how even it is, elongation, and height."""
    positions = np.array([(cell.x_um, cell.y_um) for cell in cells])
    apart = (
        np.hypot(*(positions[:, None, :] - positions[None, :, :]).transpose(2, 0, 1))
        + np.eye(len(cells)) * 1e9
    )
    nearest = apart.min(axis=1) / diameters
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(positions.T)), 1e-6))
    heights = np.array([cell.z_um for cell in cells])
    return (
        float(nearest.mean()),
        float(nearest.std() / nearest.mean()),
        float(spread[1] / spread[0]) if spread[0] > 1e-2 else 10.0,
        float(np.ptp(heights)),
    )


def _diameter(cell: Cell) -> float:
    return 2.0 * float(np.sqrt(sum(area_um2(nucleus.outline) for nucleus in cell.nuclei) / np.pi))


def _nc_ratio(cell: Cell) -> float:
    if cell.cytoplasm is None:
        return 1.0
    return min(_diameter(cell) / equivalent_diameter_um(cell.cytoplasm.outline), 1.0)


def _regression(training: Array, truth: Array, validation: Array) -> Array:
    """Logistic regression on values, squares and products, fitted by Newton's method with a ridge."""
    mean, sd = training.mean(axis=0), training.std(axis=0) + 1e-9
    design, validation = (
        _with_products(np.clip((values - mean) / sd, -4.0, 4.0)) for values in (training, validation)
    )
    weights = np.zeros(design.shape[1])
    ridge = np.full(design.shape[1], _RIDGE)
    ridge[0] = 1e-6
    for _ in range(12):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ weights, -30.0, 30.0)))
        gradient = design.T @ (p - truth) + ridge * weights
        curvature = (design * (p * (1.0 - p))[:, None]).T @ design + np.diag(ridge)
        weights = weights - np.linalg.solve(curvature, gradient)
    return validation @ weights


def _with_products(values: Array) -> Array:
    rows, columns = np.triu_indices(values.shape[1])
    return np.concatenate([np.ones((len(values), 1)), values, values[:, rows] * values[:, columns]], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Highest achievable AUC on synthetic clusters.")
    parser.add_argument("--clusters", type=int, default=1500, help="clusters per class")
    options = parser.parse_args()
    for bound in simulated_bounds(options.clusters):
        print(
            f"{bound.head}: selftest_best_auc {bound.selftest_best_auc:.3f}, "
            f"selftest_diameter_auc {bound.selftest_diameter_auc:.3f} ({bound.clusters} clusters)"
        )


if __name__ == "__main__":
    main()

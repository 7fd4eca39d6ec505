"""Linear probe: the heads' linear layers, fitted to embeddings by L-BFGS, with a chosen strength of regularisation.

Multinomial logistic regression (for soft targets: cross-entropy) with an L2 penalty on the weights of standardised features,
as in Alain and Bengio 2016 (arXiv:1610.01644) and the evaluation of most pretrained encoders. The strength is chosen by
cross-validation over the patients of the training data, for each head alone.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import csv
import io
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from inkdot.config import Config
from inkdot.datasets.class_weights import balanced_weights
from inkdot.datasets.splits.grouped_split import SplitSlide, grouped_folds
from inkdot.datasets.tile_set import TileSet
from inkdot.labels import Head, flag_column, head_slices
from inkdot.model.runtimes.batches import FeatureArray
from inkdot.model.targets import FloatArray, IndexArray, TargetArray
from inkdot.storage.atomic import write_text
from inkdot.training.frozen.head_network import HeadNetwork
from inkdot.training.run_context import RunContext

PENALTIES: Final = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""Strengths of the L2 penalty: times half the squared norm of the weights, beside the mean cross-entropy in nats."""

_FOLDS: Final = 3
WITHOUT_FOLDS: Final = 0.1
"""Strength where there are too few patients to choose it."""

_PATIENCE: Final = 2
"""The search goes from strong to weak and stops when so many in a row were no better."""

_POSITIVE: Final = 0.5
_MOST_STEPS: Final = 300
_LEAST_VARIATION: Final = 1e-4
"""A feature whose standard deviation is below this share of its mean is constant to float16's precision, and left unscaled."""


class ProbedHead(NamedTuple):
    """How one head was fitted.

    Attributes:
        head: Its name.
        penalty: The chosen strength.
        losses: Cross-entropy on held-out training patients, in nats, by strength; empty where it was not chosen.
    """

    head: str
    penalty: float
    losses: dict[float, float]


class Problem(NamedTuple):
    """One head's rows with a known target: features [n, features], targets [n, classes], weights [n], standardisation."""

    features: Tensor
    targets: Tensor
    weights: Tensor
    mean: Tensor
    scale: Tensor


class Weights(NamedTuple):
    """A linear layer for features as they are: weight [classes, features], bias [classes]."""

    weight: Tensor
    bias: Tensor


def train_probe(network: HeadNetwork, tiles: TileSet, context: RunContext) -> str:
    """Fit the heads by :func:`fit_linear_probe` and write what was tried; a sentence for the model card."""
    probed = fit_linear_probe(network, tiles, context.config)
    if context.fabric.is_global_zero:
        write_text(context.layout.linear_probe_csv, _probe_csv(probed))
    chosen = ", ".join(f"{own.head} {own.penalty:g}" for own in probed)
    note = f"Linear probe on embeddings, L2 penalty chosen on held-out training patients: {chosen}."
    context.print([note])
    return note


def fit_linear_probe(network: HeadNetwork, tiles: TileSet, config: Config) -> list[ProbedHead]:
    """Fit every head of a network to the embeddings of labelled tiles, on the CPU; the same data give the same bytes.

    Memory holds the embeddings of all these tiles in float32, once.

    Args:
        network: Its heads are overwritten.
        tiles: Training tiles, as embeddings; targets may be soft, and unknown for some heads.
        config: The whole config: classes get equal shares by ``training.balance_by``.
    """
    heads, weights = config.head_records, balanced_weights(tiles, config)
    features = torch.from_numpy(stacked(tiles))
    folds = _patient_folds(tiles, flag_column(heads), config.training.seed)
    found: list[ProbedHead] = []
    for head in heads:
        columns = head_slices(heads)[head.name]
        known = np.flatnonzero(~np.isnan(tiles.targets[:, columns]).any(axis=1))
        layer = cast(nn.Linear, network.heads[head.name])
        if not len(known):
            _set(layer, Weights(torch.zeros_like(layer.weight), torch.zeros_like(layer.bias)))
            continue
        probed, fitted = _probe(
            head,
            _problem(features, tiles.targets[:, columns], weights, known),
            None if folds is None else folds[known],
        )
        _set(layer, fitted)
        found.append(probed)
    return found


def stacked(tiles: TileSet) -> FeatureArray:
    """The embeddings of all tiles, float32 [n, features], in their order."""
    found = np.empty((len(tiles), tiles.arrays[0].shape[1]), np.float32)
    for index, array in enumerate(tiles.arrays):
        rows = np.flatnonzero(tiles.array_of_row == index)
        found[rows] = array[tiles.index_in_array[rows]]
    return found


def fit_weights(problem: Problem, penalty: float, start: Weights | None = None) -> Weights:
    """Minimise the weighted mean cross-entropy plus the penalty by L-BFGS with a strong Wolfe line search.

    Args:
        problem: Rows and standardisation.
        penalty: Strength of the L2 penalty, on weights of standardised features; the bias is free.
        start: Weights of standardised features to start from; zeros where None.

    Returns:
        Weights of standardised features.
    """
    classes, width = problem.targets.shape[1], problem.features.shape[1]
    first = start or Weights(torch.zeros(classes, width), torch.zeros(classes))
    weight, bias = (part.clone().requires_grad_() for part in first)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_MOST_STEPS,
        tolerance_grad=1e-6,
        tolerance_change=1e-10,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        optimizer.zero_grad()
        loss = _loss(problem, Weights(weight, bias)) + 0.5 * penalty * weight.square().sum()
        loss.backward()
        return float(loss.detach())

    optimizer.step(closure)
    return Weights(weight.detach(), bias.detach())


def folded(weights: Weights, problem: Problem) -> Weights:
    """The same layer for features that are not standardised."""
    weight = weights.weight / problem.scale
    return Weights(weight, weights.bias - weight @ problem.mean)


def _probe(head: Head, problem: Problem, folds: IndexArray | None) -> tuple[ProbedHead, Weights]:
    losses = {} if folds is None else _held_out_losses(problem, folds)
    penalty = min(losses, key=lambda own: losses[own]) if losses else WITHOUT_FOLDS
    return ProbedHead(head.name, penalty, losses), folded(fit_weights(problem, penalty), problem)


def _held_out_losses(problem: Problem, folds: IndexArray) -> dict[float, float]:
    """Loss on held-out patients by strength, from strong to weak, each started from the one before."""
    held_out = [torch.from_numpy(folds == fold) for fold in range(_FOLDS)]
    # A fold without rows of this head tests nothing.
    held_out = [own for own in held_out if bool(own.any()) and not bool(own.all())]
    starts: list[Weights | None] = [None] * len(held_out)
    losses: dict[float, float] = {}
    for penalty in PENALTIES if held_out else ():
        total = 0.0
        for index, own in enumerate(held_out):
            fitted = fit_weights(_weighted(problem, ~own), penalty, starts[index])
            starts[index] = fitted
            total += float(_loss(_weighted(problem, own), fitted)) / len(held_out)
        losses[penalty] = total
        best = min(losses, key=lambda own: losses[own])
        if list(losses).index(best) + _PATIENCE < len(losses):
            break
    return losses


def _loss(problem: Problem, weights: Weights) -> Tensor:
    own = folded(weights, problem)
    losses = cross_entropy(problem.features @ own.weight.T + own.bias, problem.targets, reduction="none")
    return (losses * problem.weights).sum() / problem.weights.sum()


def _weighted(problem: Problem, counted: Tensor) -> Problem:
    """The same with weight on some rows only; no feature is copied."""
    return problem._replace(weights=problem.weights * counted)


def _patient_folds(tiles: TileSet, flag: int, seed: int) -> IndexArray | None:
    """Fold of each tile, whole patients; None where there are too few patients."""
    if len(np.unique(tiles.patients)) < 2 * _FOLDS:
        return None
    values = tiles.targets[:, flag]
    slides: list[SplitSlide] = []
    for patient in np.unique(tiles.patients).tolist():
        own = values[tiles.patients == patient]
        known = own[~np.isnan(own)]
        positive = bool((known > _POSITIVE).any()) if len(known) else None
        slides.append(SplitSlide(patient, patient, positive))
    fold_of = grouped_folds(slides, _FOLDS, seed)
    return np.array([fold_of[name] for name in tiles.patients.tolist()], np.int64)


def _set(layer: nn.Linear, weights: Weights) -> None:
    with torch.no_grad():
        layer.weight.copy_(weights.weight)
        layer.bias.copy_(weights.bias)


def _problem(features: Tensor, targets: TargetArray, weights: FloatArray, known: IndexArray) -> Problem:
    own = features if len(known) == len(features) else features[torch.from_numpy(known)]
    mean, spread = own.mean(dim=0), own.std(dim=0, correction=0)
    return Problem(
        own,
        torch.from_numpy(targets[known].astype(np.float32)),
        torch.from_numpy(weights[known]).float(),
        mean,
        torch.where(spread > _LEAST_VARIATION * mean.abs(), spread, torch.ones_like(spread)),
    )


def _probe_csv(heads: Sequence[ProbedHead]) -> str:
    """CSV text: one row per head and strength, with the loss on held-out training patients and which was chosen."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["head", "l2_penalty", "held_out_loss", "chosen"])
    for own in heads:
        rows = own.losses or {own.penalty: float("nan")}
        writer.writerows(
            [own.head, f"{penalty:g}", f"{loss:.6f}", "yes" if penalty == own.penalty else ""]
            for penalty, loss in rows.items()
        )
    return buffer.getvalue()

"""Fine-tuning by self-distillation: the network keeps its own answers, except where readers corrected it.

The targets of a sample are what the network found before, on the same view of the unchanged image. In a region without a
cell they are 0, and the nucleus of a confirmed lone cell is certain. The other places keep what was known, so that it is not
forgotten (Li and Hoiem, Learning without Forgetting, 2017). The statistics of the batch normalisation stay as they are.
"""

# pyright: reportUnknownMemberType=false
# PyTorch is only partly typed.

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from torch import nn

from inkdot.cell_finder.cells import cells_of
from inkdot.cell_finder.finder_files import FinderFile, Weights
from inkdot.cell_finder.network import CellFinderNetwork
from inkdot.labels import CELL, NOT_A_CELL
from inkdot.training.cell_finder.objective import finder_loss
from inkdot.training.cell_finder.places import Place
from inkdot.training.cell_finder.samples import (
    SAMPLE_PX,
    Floats,
    Mask,
    centre_map,
    middles_of,
    random_turn,
    stained,
    target_turn,
    turned_od,
)

BATCH: Final = {NOT_A_CELL: 6, CELL: 4, "": 6}
"""Samples of each kind of place in a batch; those of a kind without places are left out."""

_SHIFT_PX: Final = 30.0
_MARGIN = np.ones(
    (5, 5), np.uint8
)  # 2 µm around a region without a cell: halves of nuclei that straddle its edge


@dataclass(frozen=True, slots=True)
class FineTuneSettings:
    """How to fine-tune.

    Attributes:
        steps: Steps of the optimiser.
        learning_rate: Its highest learning rate.
        seed: Of all draws.
    """

    steps: int = 240
    learning_rate: float = 5e-4
    seed: int = 0


def fine_tuned(
    base: tuple[FinderFile, Weights],
    places: Sequence[Place],
    settings: FineTuneSettings,
    device: torch.device,
    on_step: Callable[[], None] = lambda: None,
) -> Weights:
    """Weights after fine-tuning.

    Args:
        base: Cell finder to start from.
        places: What to train on: at least one.
        settings: Steps, learning rate and seed.
        device: Where to train.
        on_step: Called after each step.
    """
    description, weights = base
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    teacher = CellFinderNetwork(description.widths)
    teacher.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    teacher.eval().to(device)
    network = copy.deepcopy(teacher)
    _train_all_but_statistics(network)
    optimiser = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.steps, pct_start=0.2
    )
    by_answer = {answer: [place for place in places if place.answer == answer] for answer in BATCH}
    for _ in range(settings.steps):
        drawn = [
            own[int(rng.integers(len(own)))]
            for answer, count in BATCH.items()
            if (own := by_answer[answer])
            for _ in range(count)
        ]
        od, no_cell, lone = (
            np.stack(part) for part in zip(*(_view(place, rng) for place in drawn), strict=True)
        )
        with torch.inference_mode():
            known = torch.sigmoid(teacher(torch.from_numpy(od).to(device))).cpu().numpy()
        targets = np.stack([_targets(*view, description) for view in zip(known, no_cell, lone, strict=True)])
        seen = torch.from_numpy(np.stack([stained(one, rng) for one in od])).to(device)
        nucleus, centre = torch.from_numpy(targets).to(device).unbind(1)
        loss = finder_loss(network(seen), nucleus, centre, torch.ones_like(nucleus))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        on_step()
    state = network.eval().cpu().state_dict()
    return {name: values.numpy() for name, values in state.items() if values.dtype == torch.float32}


def _train_all_but_statistics(network: nn.Module) -> None:
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _view(place: Place, rng: np.random.Generator) -> tuple[Floats, Mask, Mask]:
    """Optical density of a random view, and the corrected regions on it at half the resolution."""
    factor = math.exp(rng.uniform(-0.18, 0.18))
    turn = random_turn(_middle(place, rng), factor, rng)
    size = (SAMPLE_PX // 2, SAMPLE_PX // 2)
    no_cell, lone = (
        cv2.warpAffine(mask, target_turn(turn), size, flags=cv2.INTER_NEAREST)
        for mask in (place.no_cell, place.lone_cell)
    )
    od = turned_od(place.rgb, place.glass.rgb, turn, factor)
    return od, np.asarray(no_cell, np.uint8), np.asarray(lone, np.uint8)


def _middle(place: Place, rng: np.random.Generator) -> np.ndarray:
    """A point of the region's box, or of the field's middle, moved a little."""
    side = place.rgb.shape[0]
    left, top, right, bottom = (
        (0.35 * side,) * 2 + (0.65 * side,) * 2 if place.region is None else place.region.bounds
    )
    point = np.array([rng.uniform(left, right), rng.uniform(top, bottom)])
    return np.clip(point + rng.uniform(-_SHIFT_PX, _SHIFT_PX, 2), 0, side)


def _targets(known: Floats, no_cell: Mask, lone: Mask, description: FinderFile) -> Floats:
    """What the network found, corrected; shape [2, height, width]."""
    targets = np.array(known, np.float32)
    if no_cell.any():
        # Not on the cells of a confirmed region beside it.
        targets[:, (cv2.dilate(no_cell, _MARGIN) > 0) & (lone == 0)] = 0.0
    if lone.any():
        labels = cells_of(targets, description).labels
        confirmed = np.where(np.isin(labels, np.unique(labels[lone > 0])), labels, 0).astype(np.int32)
        targets[0, confirmed > 0] = 1.0
        targets[1] = np.maximum(targets[1], centre_map(middles_of(confirmed), len(labels)))
    return targets

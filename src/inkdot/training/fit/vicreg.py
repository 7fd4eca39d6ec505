"""What tiles look like, learnt from the tiles alone, for cohorts in which no tile has a label.

VICReg (Bardes, Ponce and LeCun 2022, arXiv:2105.04906): two variations of one tile shall get the same embedding
(invariance), while over a batch every number of the embedding keeps its spread (variance) and no two say the same
(covariance). Unlike contrastive methods it needs no large batch, and unlike BYOL no second network.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from inkdot.config import Config
from inkdot.datasets.augmentation import Augmentation
from inkdot.datasets.tile_set import Draw, EpochDraws, TileSet
from inkdot.model.batches import batches_of
from inkdot.model.network import TileNetwork
from inkdot.model.torch_backend import as_batch
from inkdot.records import RgbArray
from inkdot.training.distributed.process_group import check_sharded, company
from inkdot.training.distributed.sync_batch_norm import all_gather_rows, with_sync_batch_norm
from inkdot.training.fit.epoch_metrics import Row
from inkdot.training.fit.loss import Loss

_PROJECTED = 256
_INVARIANCE, _VARIANCE, _COVARIANCE = 25.0, 25.0, 1.0
"""Weights of the three terms, as in the paper."""

_JUDGED_TILES = 1024
"""Validation tiles looked at after an epoch, evenly spread: enough to compare epochs by."""


class SelfTaught(nn.Module):
    """A network's backbone with the projector that only this lesson needs."""

    def __init__(self, network: TileNetwork) -> None:
        super().__init__()
        self.network = network
        features = next(iter(network.heads.values())).in_features
        self.projector = nn.Sequential(
            nn.Linear(cast(int, features), _PROJECTED),
            nn.BatchNorm1d(_PROJECTED),
            nn.ReLU(),
            nn.Linear(_PROJECTED, _PROJECTED),
        )
        # Nothing is asked of the heads here, and processes that train together wait for every gradient there shall be.
        network.heads.requires_grad_(False)

    def forward(self, tiles: Tensor) -> Tensor:
        """Projected embeddings, float [n, 256], of uint8 tiles [n, 3, side, side]."""
        return self.projector(self.network.features(tiles))


def vicreg_loss(first: Tensor, second: Tensor) -> Loss:
    """The three terms for embeddings of two variations of the same tiles, shape [n, dims] each, n at least 2."""
    first, second = first.float(), second.float()
    invariance = functional.mse_loss(first, second)
    variance = 0.5 * (_missing_spread(first) + _missing_spread(second))
    covariance = _shared(first) + _shared(second)
    total = _INVARIANCE * invariance + _VARIANCE * variance + _COVARIANCE * covariance
    return Loss(total, {"invariance": invariance, "variance": variance, "covariance": covariance})


def pairs_a_step(batch_size: int) -> int:
    """Tiles of which two variations each make a batch, which shall not take more memory than one of labelled tiles."""
    return max(2, batch_size // 2)


class PairLesson:
    """Two variations of each tile, compared with all others of the batch."""

    def __init__(
        self, training: TileSet, validation: TileSet, config: Config, metrics_prefix: str, identity: str
    ) -> None:
        self.training, self.identity = training, identity
        self.metrics_prefix = f"{metrics_prefix}pairs_"
        self._augmentation = Augmentation(config.augmentation)
        self._validation, self._seed = validation, config.training.seed
        self._at_once = pairs_a_step(config.training.batch_size)
        even, (rank, size, _) = np.full(len(training), 1.0 / len(training)), company()
        self._draws = EpochDraws(even, self._at_once, config.training.seed, rank=rank, size=size)
        check_sharded(self._draws.batch_size)

    @property
    def draws(self) -> EpochDraws:
        """Every tile alike."""
        return self._draws

    def loader(self, workers: int) -> DataLoader[Any]:
        """Pixels of both variations."""
        return DataLoader(
            _Pairs(self.training, self._augmentation),
            batch_sampler=self._draws,  # type: ignore[arg-type]
            collate_fn=_collate,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def begin(self, average: nn.Module, device: torch.device) -> None:
        """Nothing: the draws depend on the epoch alone."""

    def losses(self, model: nn.Module, batch: tuple[Tensor, Tensor], step: int) -> Iterator[Loss]:
        """The loss of a batch, which cannot be taken in parts: spread is that of the whole batch.

        Of several processes each runs its share of the tiles and computes the same loss of all embeddings, of which it
        gives its part of the sum.
        """
        first, second = batch
        with with_sync_batch_norm():
            projected = model(torch.cat([first, second]))
        loss = vicreg_loss(*(all_gather_rows(own) for own in projected.chunk(2)))
        size = company().size
        yield Loss(loss.total / size, {name: part / size for name, part in loss.per_head.items()})

    def judge(self, average: nn.Module, device: torch.device) -> Row:
        """The loss on variations of validation tiles, always the same ones."""
        count = min(len(self._validation), _JUDGED_TILES)
        rows = np.unique(np.linspace(0, len(self._validation) - 1, count).astype(np.int64)).tolist()
        with torch.inference_mode():
            first, second = (self._projected(average, rows, side, device) for side in (0, 1))
            loss = vicreg_loss(first, second)
        row: dict[str, float | None] = {name: float(value) for name, value in loss.per_head.items()}
        return row | {"loss": float(loss.total), "calibrated_loss": float(loss.total)}

    def _projected(self, average: nn.Module, rows: list[int], side: int, device: torch.device) -> Tensor:
        seeds = np.random.default_rng([self._seed, side, 2]).integers(2**32, size=len(rows)).tolist()
        varied = (
            self._augmentation(self._validation.tile(row), seed)
            for row, seed in zip(rows, seeds, strict=True)
        )
        parts = [average(as_batch(batch).to(device)) for batch in batches_of(varied, self._at_once)]
        return torch.cat(parts)


class _Pairs(Dataset[tuple[RgbArray, RgbArray]]):
    def __init__(self, tiles: TileSet, augmentation: Augmentation) -> None:
        self._tiles, self._augmentation = tiles, augmentation

    def __getitem__(self, draw: Draw) -> tuple[RgbArray, RgbArray]:  # type: ignore[override]
        tile = self._tiles.tile(draw.row)
        return self._augmentation(tile, draw.seed), self._augmentation(tile, (draw.seed + 1) % 2**32)


def _collate(pairs: Sequence[tuple[RgbArray, RgbArray]]) -> tuple[Tensor, Tensor]:
    return as_batch([first for first, _ in pairs]), as_batch([second for _, second in pairs])


def _missing_spread(embeddings: Tensor) -> Tensor:
    """How far the standard deviations stay below 1, in the mean over dimensions."""
    return functional.relu(1.0 - torch.sqrt(embeddings.var(dim=0) + 1e-4)).mean()


def _shared(embeddings: Tensor) -> Tensor:
    """Sum of squared covariances of different dimensions, per dimension."""
    centred = embeddings - embeddings.mean(dim=0)
    covariance = centred.T @ centred / (len(embeddings) - 1)
    off_diagonal = covariance.pow(2).sum() - covariance.diagonal().pow(2).sum()
    return off_diagonal / embeddings.shape[1]

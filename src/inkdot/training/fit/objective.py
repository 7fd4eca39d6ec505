"""What a network is trained on: the part in which training from tiles and from whole slides differ.

The trainer handles steps, epochs, checkpoints and the EMA of the weights; an objective handles batches, losses and validation.
"""

# pyright: reportUnknownMemberType=false

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from inkdot.config import Config
from inkdot.datasets.bags import BagSet
from inkdot.datasets.class_weights import balanced_weights, tiles_per_epoch
from inkdot.datasets.tile_set import Draw, EpochDraws, TileSet, training_augmentation, training_loader
from inkdot.errors import UserError
from inkdot.model.network import TileNetwork
from inkdot.training.fit.epoch_metrics import Row, validation_row
from inkdot.training.fit.loss import Loss, known_weights, masked_loss
from inkdot.training.fit.monitor import check_monitored

_Set = TypeVar("_Set", TileSet, BagSet)


class BatchSampler(Protocol):
    """Tiles of the batches of an epoch: a pure function of the epoch and of what was known at its start."""

    epoch: int

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[list[Draw]]: ...


class Objective(Protocol):
    """One kind of training."""

    @property
    def training(self) -> TileSet:
        """The training tiles."""
        ...

    @property
    def metrics_prefix(self) -> str:
        """Put before the names of metrics on validation data."""
        ...

    @property
    def identity(self) -> str:
        """Hash of everything that shapes the run."""
        ...

    @property
    def sampler(self) -> BatchSampler:
        """The batches of an epoch."""
        ...

    def loader(self, workers: int) -> DataLoader[Any]:
        """Batches as :meth:`training_step` takes them, in the order of the sampler."""
        ...

    def on_epoch_start(self, ema: nn.Module) -> None:
        """Prepare the epoch that ``sampler.epoch`` names, given the EMA network so far."""
        ...

    def training_step(self, model: nn.Module, batch: Any, step: int) -> Iterable[Loss]:
        """The losses of the parts of one step; over all parts and processes they sum to the loss of the step.

        Args:
            model: The network being trained.
            batch: From the loader, on the model's device.
            step: Number of the step in its epoch, from 0.
        """
        ...

    def validate(self, ema: nn.Module, device: torch.device) -> Row:
        """Metrics on validation data, without prefix; ``calibrated_loss`` is one of them.

        ``patient_auc`` is another one, None where a class has no patient.
        """
        ...


@dataclass(frozen=True, slots=True)
class TrainingData(Generic[_Set]):
    """Tiles, or slides as bags of tiles, for training and validation.

    Attributes:
        training: Training tiles or slides.
        validation: Those of other patients.
        metrics_prefix: Put before the names of metrics on the validation data.
        identity: Hash of everything that shapes the run.
    """

    training: _Set
    validation: _Set
    metrics_prefix: str
    identity: str


class TileObjective:
    """Training from tiles with labels of their own."""

    def __init__(self, data: TrainingData[TileSet], config: Config, fabric: Fabric) -> None:
        """Make the sampler.

        Raises:
            UserError: The best epoch is to be chosen by a metric that is undefined on the validation tiles, or the processes
                cannot share a batch evenly.
        """
        if config.training.checkpoint == "best":
            check_monitored(data.validation.targets, data.validation.patients, config)
        self.training, self.metrics_prefix, self.identity = data.training, data.metrics_prefix, data.identity
        self._validation, self._config, self._fabric = data.validation, config, fabric
        settings = config.training
        sampler = EpochDraws(
            balanced_weights(data.training, config),
            settings.batch_size,
            settings.seed,
            tiles=tiles_per_epoch(data.training.targets, config),
            rank=fabric.global_rank,
            size=fabric.world_size,
        )
        _check_divisible(sampler.batch_size, settings.gradient_accumulation, fabric.world_size)
        self.sampler: BatchSampler = sampler

    def loader(self, workers: int) -> DataLoader[Any]:
        """Pixels and targets."""
        augmentation = training_augmentation(self._config, self.training)
        return training_loader(self.training, augmentation, self.sampler, workers)

    def on_epoch_start(self, ema: nn.Module) -> None:
        """Nothing: the batches depend on the epoch alone."""

    def training_step(self, model: nn.Module, batch: tuple[Tensor, Tensor], step: int) -> Iterator[Loss]:
        """Masked cross-entropy of the batch, part by part."""
        settings, heads = self._config.training, self._config.head_records
        totals = cast(Tensor, self._fabric.all_reduce(known_weights(batch[1], heads), reduce_op="sum"))
        parts = (tensor.chunk(settings.gradient_accumulation) for tensor in batch)
        for pixels, targets in zip(*parts, strict=True):
            yield masked_loss(model(pixels), targets, heads, settings.head_weights, totals=totals)

    def validate(self, ema: nn.Module, device: torch.device) -> Row:
        """Losses and metrics on the validation tiles and their patients."""
        return validation_row(cast(TileNetwork, ema), self._validation, self._config, device)


def _check_divisible(batch: int, parts: int, processes: int) -> None:
    """Refuse a batch of all tiles there are, fewer than ``training.batch_size``, that processes cannot share evenly."""
    if processes > 1 and batch % (processes * parts):
        raise UserError(
            f"expected a multiple of {processes * parts} tiles in a batch for {processes} processes, each taking its share in "
            f"parts of {parts}, found {batch}, which are all there are; start `inkdot train` without torchrun"
        )

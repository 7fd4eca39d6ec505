"""What a run learns: the part in which learning from tiles, from slides and without labels differ.

The loop knows steps, epochs, checkpoints and the running mean of the weights; a lesson knows batches, losses and how an
epoch is judged.
"""

# pyright: reportUnknownMemberType=false

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from inkdot.config import Config
from inkdot.datasets.augmentation import Augmentation
from inkdot.datasets.class_weights import balanced_weights
from inkdot.datasets.tile_set import Draw, EpochDraws, TileSet, training_loader
from inkdot.model.network import TileNetwork
from inkdot.training.distributed.process_group import check_sharded, company, summed
from inkdot.training.distributed.sync_batch_norm import with_sync_batch_norm
from inkdot.training.fit.epoch_metrics import Row, validation_row
from inkdot.training.fit.loss import Loss, known_weights, masked_loss


class Draws(Protocol):
    """Which tiles make the batches of an epoch: a pure function of the epoch and of what was known at its start."""

    epoch: int

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[list[Draw]]: ...


class Objective(Protocol):
    """One kind of learning."""

    @property
    def training(self) -> TileSet:
        """The tiles that are learnt from."""
        ...

    @property
    def metrics_prefix(self) -> str:
        """Put before the names of metrics on validation data; ``training.monitor`` names the one that chooses the epoch."""
        ...

    @property
    def identity(self) -> str:
        """Hash of everything that shapes the run."""
        ...

    @property
    def draws(self) -> Draws:
        """The batches of an epoch."""
        ...

    def loader(self, workers: int) -> DataLoader[Any]:
        """Batches as :meth:`losses` takes them, in the order of the draws."""
        ...

    def begin(self, average: nn.Module, device: torch.device) -> None:
        """Make ready for the epoch that ``draws.epoch`` names, given the averaged network so far."""
        ...

    def losses(self, model: nn.Module, batch: Any, step: int) -> Iterable[Loss]:
        """The losses of the parts of one step; they sum to that of the step.

        Args:
            model: The network being trained.
            batch: From the loader, on the model's device.
            step: Number of the step in its epoch, from 0.
        """
        ...

    def judge(self, average: nn.Module, device: torch.device) -> Row:
        """Metrics on validation data, without prefix; ``calibrated_loss`` is one of them.

        ``patient_auc`` is another one, except where patients have no labels; None where a class has no patient.
        """
        ...


@dataclass(frozen=True, slots=True)
class TileData:
    """What a run learns from and what it is watched on.

    Attributes:
        training: Tiles to learn from.
        validation: Tiles of other patients.
        metrics_prefix: Put before the names of metrics on the validation tiles.
        identity: Hash of everything that shapes the run.
    """

    training: TileSet
    validation: TileSet
    metrics_prefix: str
    identity: str


class TileObjective:
    """Learning from tiles with labels of their own."""

    def __init__(self, data: TileData, config: Config) -> None:
        self.training, self.metrics_prefix, self.identity = data.training, data.metrics_prefix, data.identity
        self._validation, self._config = data.validation, config
        settings = config.training
        weights = balanced_weights(data.training, config)
        rank, size, _ = company()
        draws = EpochDraws(weights, settings.batch_size, settings.seed, rank=rank, size=size)
        check_sharded(draws.batch_size, settings.gradient_accumulation)
        self.draws: Draws = draws

    def loader(self, workers: int) -> DataLoader[Any]:
        """Pixels and targets."""
        return training_loader(self.training, Augmentation(self._config.augmentation), self.draws, workers)

    def begin(self, average: nn.Module, device: torch.device) -> None:
        """Nothing: the draws depend on the epoch alone."""

    def losses(self, model: nn.Module, batch: tuple[Tensor, Tensor], step: int) -> Iterator[Loss]:
        """Masked cross-entropy of the batch, part by part."""
        settings, heads = self._config.training, self._config.head_records
        totals = summed(known_weights(batch[1], heads))
        for pixels, targets in zip(
            *(tensor.chunk(settings.gradient_accumulation) for tensor in batch), strict=True
        ):
            with with_sync_batch_norm():
                logits = model(pixels)
            yield masked_loss(logits, targets, heads, settings.head_weights, totals=totals)

    def judge(self, average: nn.Module, device: torch.device) -> Row:
        """Losses and metrics on the validation tiles and their patients."""
        return validation_row(cast(TileNetwork, average), self._validation, self._config, device)

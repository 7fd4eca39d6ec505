"""Training from whole slides (multiple-instance learning) and from labelled tiles together."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from inkdot.config import Aggregator, Config
from inkdot.datasets.bags import BagSet
from inkdot.datasets.tile_sampler import UNKNOWN, draw_weights, strata
from inkdot.datasets.tile_set import TileSet, training_augmentation, training_loader
from inkdot.labels import Head, flag_columns, flagging_head, head_slices
from inkdot.metrics.calibration import fit_temperature
from inkdot.model.attention import flag_margin, pooled_logits
from inkdot.model.network import TileNetwork
from inkdot.model.runtimes.torch_backend import LogitArray, predict_logits
from inkdot.model.slide_transformer import slide_output
from inkdot.model.targets import FloatArray, TargetArray
from inkdot.training.distributed.predict import predict_logits_sharded
from inkdot.training.fit.epoch_metrics import Row, cells, monitored_metrics, scaled_loss
from inkdot.training.fit.loss import Loss, known_weights, masked_loss
from inkdot.training.fit.monitor import check_monitored
from inkdot.training.fit.objective import TrainingData
from inkdot.training.mil.bag_sampler import BagSampler
from inkdot.training.mil.instance_loss import instance_losses


class MilObjective:
    """Each step takes some slides and some tiles of each: loss of the slides' labels, and of the tiles that have labels."""

    def __init__(self, data: TrainingData[BagSet], config: Config, fabric: Fabric) -> None:
        self.training: TileSet = data.training.tiles
        self.metrics_prefix, self.identity = data.metrics_prefix, data.identity
        self._data, self._config, self._fabric = data, config, fabric
        check_monitored(data.validation.targets, data.validation.patients, config)
        settings = config.training
        self._sampler = BagSampler(
            data.training,
            strata(data.training.targets, flag_columns(config.head_records)),
            settings.batch_size,
            settings.mil.bag_tiles,
            settings.seed,
            whole=config.model.freeze_backbone,
            rank=fabric.global_rank,
            size=fabric.world_size,
        )

    @property
    def sampler(self) -> BagSampler:
        """Slides and tiles of the batches."""
        return self._sampler

    def loader(self, workers: int) -> DataLoader[Any]:
        """Pixels, and the tiles' own targets."""
        augmentation = training_augmentation(self._config, self.training)
        return training_loader(self.training, augmentation, self._sampler, workers)

    def on_epoch_start(self, ema: nn.Module) -> None:
        """Compute the attention by which tiles are drawn; there is none before the first epoch if it starts at random."""
        network, heads = cast(TileNetwork, ema), self._config.head_records
        if network.spec.aggregator == "mean":
            return  # no tile counts more than another
        if self._sampler.epoch or network.spec.attention_follows or network.spec.aggregator == "max":
            batch = self._config.training.tiles_at_once
            logits = predict_logits_sharded(self._fabric, network, self.training, batch_size=batch)
            self._sampler.attention = _flag_attention(logits, network.spec.aggregator, heads)

    def training_step(self, model: nn.Module, batch: tuple[Tensor, Tensor], step: int) -> Iterator[Loss]:
        """Loss of the slides, plus that of the labelled tiles."""
        settings, heads = self._config.training, self._config.head_records
        pixels, targets = batch
        drawn = self._sampler.drawn[step]
        counts = torch.from_numpy(self._sampler.counts(step)).to(pixels.device)
        owners = torch.arange(len(drawn), device=pixels.device).repeat_interleave(counts)
        # All of a slide's tiles together: the softmax over them cannot be taken in parts.
        if settings.mil.aggregator == "transmil":
            logits, pooled = (part.float() for part in model(pixels, owners))
        else:
            logits = model(pixels).float()
            pooled = slide_logits(logits, owners, len(drawn), heads)
        of_slides = torch.from_numpy(self._data.training.targets[drawn]).to(logits.device)
        totals = self._sum(known_weights(of_slides, heads))
        slides = masked_loss(pooled, of_slides, heads, settings.head_weights, totals=totals)
        weights = self._even_weights(targets)
        totals = self._sum(known_weights(targets, heads, weights))
        tiles = masked_loss(logits, targets, heads, settings.head_weights, weights, totals=totals)
        named = {f"slides.{name}": loss for name, loss in slides.per_head.items()}
        named |= {f"tiles.{name}": loss for name, loss in tiles.per_head.items()}
        total = slides.total + settings.mil.tile_weight * tiles.total
        if settings.mil.aggregator == "clam_sb":
            column = _first_attention(heads) + [h.name for h in heads].index(flagging_head(heads).name)
            summed, count = instance_losses(
                logits, logits[:, column], owners, of_slides, heads, settings.mil.instance_tiles
            )
            named["instances"] = summed / self._sum(count).clamp_min(1.0)
            total = total + settings.mil.instance_weight * named["instances"]
        yield Loss(total, named)

    def validate(self, ema: nn.Module, device: torch.device) -> Row:
        """Loss and metrics on the validation slides, each with all its tiles, and on their patients."""
        bags, config = self._data.validation, self._config
        network, batch = cast(TileNetwork, ema), config.training.tiles_at_once
        logits = predict_logits(network, bags.tiles.tiles(), device=device, batch_size=batch)
        logits = pooled_bags(logits, bags, config.head_records, network)
        temperatures, weights = fit_slide_temperatures(logits, bags, config), slide_weights(bags, config)
        row: dict[str, float | None] = {
            name: float(scaled_loss(logits, by, bags.targets, weights, config).total)
            for name, by in (("loss", {}), ("calibrated_loss", temperatures))
        }
        return row | cells(monitored_metrics(logits, temperatures, bags.targets, bags.patients, config))

    def _sum(self, tensor: Tensor) -> Tensor:
        """Sum over all processes."""
        return cast(Tensor, self._fabric.all_reduce(tensor, reduce_op="sum"))

    def _even_weights(self, targets: Tensor) -> Tensor:
        """Weights that give each class of the flagging head an equal share of the whole batch, shape [n].

        Of slides that are labelled as a whole only, the negative ones label their tiles; without weights, a malignant tile
        with a label of its own would count too little among these.
        """
        columns = flag_columns(self._config.head_records)
        classes = torch.from_numpy(strata(targets.cpu().numpy(), columns) - UNKNOWN).to(targets.device)
        counts = self._sum(torch.bincount(classes, minlength=columns.stop - columns.start - UNKNOWN))
        return 1.0 / counts[classes].float()


def slide_logits(logits: Tensor, owners: Tensor, bags: int, heads: Sequence[Head]) -> Tensor:
    """Logits of slides, each head by its own attention, shape [bags, classes of all heads].

    Args:
        logits: As the network gives them, with attention, shape [n, columns].
        owners: Which bag each tile is in, shape [n].
        bags: How many there are.
        heads: The heads.
    """
    first = _first_attention(heads)
    parts = [
        pooled_logits(logits[:, own], logits[:, first + index], owners, bags)
        for index, own in enumerate(head_slices(heads).values())
    ]
    return torch.cat(parts, dim=1)


def pooled_bags(
    logits: LogitArray, bags: BagSet, heads: Sequence[Head], network: TileNetwork | None = None
) -> LogitArray:
    """Logits of slides from those of all their tiles, float32 [bags, classes of all heads].

    Args:
        logits: As the network gives them, shape [n, columns].
        bags: The slides.
        heads: The heads.
        network: The network, whose transformer makes the logits where it has one.
    """
    if network is not None and (transformer := network.slide_transformer) is not None:
        rows = (bags.rows(bag) for bag in range(len(bags.slides)))
        return np.stack([slide_output(transformer, logits[own], heads).logits for own in rows])
    owners = torch.from_numpy(bags.owners)
    pooled = slide_logits(torch.from_numpy(logits).double(), owners, len(bags.slides), heads)
    return pooled.float().numpy()


def slide_weights(bags: BagSet, config: Config) -> FloatArray:
    """Weight of each slide, sum 1: classes of the flagging head in equal shares."""
    return draw_weights(strata(bags.targets, flag_columns(config.head_records)), bags.patients, bags.slides)


def fit_slide_temperatures(logits: LogitArray, bags: BagSet, config: Config) -> dict[str, float]:
    """Temperature of each head that has a labelled slide, by name."""
    weights, found = slide_weights(bags, config), dict[str, float]()
    for name, columns in head_slices(config.head_records).items():
        known = np.flatnonzero(~np.isnan(bags.targets[:, columns.start]))
        if len(known):
            found[name] = fit_temperature(
                logits[known, columns], bags.targets[known, columns], weights[known]
            )
    return found


def slides_per_class(targets: TargetArray, heads: Sequence[Head]) -> dict[str, float]:
    """Slides per ``<head>.<class>``, soft targets counted by weight; targets [slides, classes of all heads]."""
    sums = np.nan_to_num(targets).sum(axis=0, dtype=np.float64)
    names = [f"{head.name}.{class_name}" for head in heads for class_name in head.classes]
    return {name: round(float(value), 3) for name, value in zip(names, sums, strict=True)}


def _flag_attention(logits: LogitArray, aggregator: Aggregator, heads: Sequence[Head]) -> FloatArray:
    """By what tiles are drawn: the attention score for the flagging head; for transmil the tile's own margin."""
    first = _first_attention(heads)
    if aggregator == "transmil":
        return flag_margin(torch.from_numpy(logits[:, :first]), heads)[:, 0].double().numpy()
    column = first + [head.name for head in heads].index(flagging_head(heads).name)
    return logits[:, column].astype(np.float64)


def _first_attention(heads: Sequence[Head]) -> int:
    return sum(len(head.classes) for head in heads)

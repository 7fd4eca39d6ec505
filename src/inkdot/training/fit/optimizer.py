"""The optimiser of a run: learning rates by layer, and settings whose default depends on the starting weights."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any, Final, NamedTuple, cast

import torch
from timm.optim import param_groups_layer_decay  # pyright: ignore[reportPrivateImportUsage]
from torch import nn
from torch.optim import AdamW

from inkdot.config import Config, TrainingConfig
from inkdot.model.encoders.build import timm_model

_RATE: Final = 1e-3
# As in He et al. 2022 (MAE, arXiv:2111.06377, table 9) and Bao et al. 2022 (BEiT, arXiv:2106.08254); not measured here.
_PRETRAINED_TRANSFORMER_RATE: Final = 3e-4
_PRETRAINED_TRANSFORMER_DECAY: Final = 0.75
_TRANSFORMER_CLIP: Final = 1.0


class OptimizerSettings(NamedTuple):
    """Settings of the optimiser, where the config may leave the choice to the starting weights and the backbone.

    Attributes:
        learning_rate: Peak learning rate of the heads.
        layer_decay: Factor (0 to 1) of the learning rate from each layer to the one before it; 1 for the same rate everywhere.
        gradient_clip: Maximum norm of the gradient; 0 for no clipping.
    """

    learning_rate: float
    layer_decay: float
    gradient_clip: float

    def __str__(self) -> str:
        """As the terminal and the card show it."""
        decay = (
            "the same in all layers"
            if self.layer_decay == 1
            else f"times {self.layer_decay:g} per layer below the heads"
        )
        clip = f"norm at most {self.gradient_clip:g}" if self.gradient_clip else "not clipped"
        return f"learning rate {self.learning_rate:g}, {decay}; gradient {clip}"


def optimizer_settings(config: Config, backbone: nn.Module) -> OptimizerSettings:
    """The config's settings; those that are null by the starting weights and the backbone (decision 174)."""
    settings, transformer = config.training, is_transformer(backbone)
    fine_tuned = transformer and config.model.weights != "scratch"
    rate, decay, clip = settings.learning_rate, settings.layer_decay, settings.gradient_clip
    if rate is None:
        rate = _PRETRAINED_TRANSFORMER_RATE if fine_tuned else _RATE
    if decay is None:
        decay = _PRETRAINED_TRANSFORMER_DECAY if fine_tuned else 1.0
    if config.model.freeze_backbone:
        decay = 1.0  # the heads are one layer
    if clip is None:
        clip = _TRANSFORMER_CLIP if transformer else 0.0
    return OptimizerSettings(rate, decay, clip)


def is_transformer(backbone: nn.Module) -> bool:
    """Whether a backbone has self-attention: one of its modules is a timm or PyTorch class named so."""
    return any("Attention" in type(module).__name__ for module in backbone.modules())


def adamw(network: nn.Module, settings: TrainingConfig, chosen: OptimizerSettings) -> AdamW:
    """AdamW over all parameters; each group has its share of the learning rate as ``lr_scale``, the heads' is the first."""
    return AdamW(
        parameter_groups(network, settings.weight_decay, chosen.layer_decay), lr=chosen.learning_rate
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of the heads, and that of each layer of the backbone by its scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)


def parameter_groups(network: nn.Module, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
    """Groups of parameters with their weight decay and ``lr_scale``.

    Weight decay is for matrices and filters only: decaying biases and normalisation scales hurts. Layers are timm's
    (``group_matcher`` of its model); heads, and a pooling that timm does not know, are the layer above its last.
    """
    if layer_decay == 1:
        return _by_dimension(list(network.parameters()), weight_decay)
    trunk = timm_model(cast(nn.Module, network.backbone))
    below = {id(parameter) for parameter in trunk.parameters()}
    own = [parameter for parameter in network.parameters() if id(parameter) not in below]
    groups = param_groups_layer_decay(trunk, weight_decay, layer_decay=layer_decay)
    for group in groups:
        group["lr_scale"] *= layer_decay
    return [*_by_dimension(own, weight_decay), *groups]


def _by_dimension(parameters: list[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]

"""What is needed to rebuild a backbone, without a network and without the folder it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, cast

from inkdot.errors import UserError

Pooling: TypeAlias = Literal["default", "cls", "mean", "cls_mean", "attention"]
"""From tokens to one embedding: as the architecture does, the class token, the mean of the patch tokens, both side by side, or
by attention as CONCH v1.5 does."""

Argument: TypeAlias = str | int | float | bool | list[int] | list[float]
"""Value of an argument of an architecture, as JSON holds it."""

MLP_LAYERS: Final = ("Mlp", "GluMlp", "SwiGLU", "SwiGLUPacked", "GatedMlp")
"""Classes of ``timm.layers`` that the argument ``mlp_layer`` may name."""

_NOT_ARCHITECTURE: Final = frozenset(
    ("cache_dir", "checkpoint_path", "device", "dtype", "exportable", "feature_cfg", "feature_cls", "features_only", "img_size",
     "in_chans", "kwargs_filter", "model_cfg", "no_jit", "num_classes", "out_indices", "scriptable")
)  # fmt: skip
"""Arguments of ``timm.create_model`` that load files, or that Inkdot sets itself."""


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """Architecture of a backbone.

    Attributes:
        architecture: timm model name, with or without the tag of its weights.
        side_px: Side of the tiles.
        kwargs: Arguments of the architecture that differ from timm's, such as ``init_values``.
        pooling: From tokens to one embedding.
        input_px: Tiles are resized to this side inside the network; None where it takes them as they are.
    """

    architecture: str
    side_px: int
    kwargs: Mapping[str, Argument] = field(default_factory=dict[str, Argument], hash=False)
    pooling: Pooling = "default"
    input_px: int | None = None

    @property
    def taken_px(self) -> int:
        """Side of what the architecture gets."""
        return self.input_px or self.side_px


def architecture_arguments(values: Mapping[str, object], source: str) -> dict[str, Argument]:
    """Those of timm's ``model_args`` that describe an architecture, checked; null and what Inkdot sets itself are left out.

    A file of another place must not make timm load further files, so arguments that do are never passed on.

    Args:
        values: Arguments by name, as a config.json or model.json holds them.
        source: Where they come from, for the message.

    Raises:
        UserError: A value is no number, text, truth value or list of numbers, or ``mlp_layer`` is no class that timm has.
    """
    arguments: dict[str, Argument] = {}
    for name, value in values.items():
        if value is None or name in _NOT_ARCHITECTURE or name.startswith("pretrained"):
            continue
        parts = cast("list[object]", value) if isinstance(value, list) else []
        numbers = bool(parts) and all(isinstance(part, (int, float)) for part in parts)
        if not (numbers or isinstance(value, (str, int, float))):
            raise UserError(
                f"{source}: expected a number, text, true, false or a list of numbers for the argument {name}, found "
                f"{type(cast(object, value)).__name__}; correct the file"
            )
        if name == "mlp_layer" and value not in MLP_LAYERS:
            raise UserError(
                f"{source}: expected one of {', '.join(MLP_LAYERS)} for mlp_layer, found {value!r}; correct the file"
            )
        arguments[name] = cast(Argument, value)
    return arguments

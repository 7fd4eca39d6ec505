"""Names of tensors in files of other programs, to those of timm."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import re
from collections.abc import Iterable, Mapping
from typing import Final

import torch
from torch import Tensor, nn

_PREFIXES: Final = (
    "_orig_mod.", "module.", "state_dict.", "model.", "teacher.", "student.", "backbone.", "trunk.", "visual.", "network.",
    "net.", "encoder.", "vision_encoder.", "base_model.", "feature_extractor.", "image_encoder.", "dinov2.", "vit.",
)  # fmt: skip
"""What training programs put before the names of the backbone's tensors."""

_LEFT_OUT: Final = re.compile(
    r"(^|\.)(heads?|head_dist|fc|classifier|dino_head|ibot_head|dinov2_head|projector|projection(_head)?|predictor|prototypes|"
    r"decoder|mask_token|mask_tokens|attn_mask|relative_position_index|attn_pool\w*|ln_contrast|text|logit_scale|loss\w*)(\.|$)"
)
"""Tensors that are no part of a backbone."""

_TRANSFORMERS_BLOCK: Final = re.compile(r"^encoder\.layer\.(\d+)\.(.+)$")
_TRANSFORMERS_NAMES: Final = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.register_tokens": "register_tokens",
    "embeddings.mask_token": "mask_token",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}
"""Names of ``Dinov2Model`` and ``ViTModel`` in the library transformers, outside of the blocks."""
_TRANSFORMERS_BLOCK_NAMES: Final = {
    "layernorm_before": "norm1", "layernorm_after": "norm2",
    "attention.output.dense": "attn.proj", "intermediate.dense": "mlp.fc1", "output.dense": "mlp.fc2",
    "layer_scale1.lambda1": "ls1.gamma", "layer_scale2.lambda1": "ls2.gamma",
    "mlp.weights_in": "mlp.fc1", "mlp.weights_out": "mlp.fc2",
}  # fmt: skip
_QUERY: Final = re.compile(r"^attention\.attention\.(query|key|value)\.(weight|bias)$")


def timm_tensors(tensors: Mapping[str, Tensor], trunk: nn.Module) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of a file with prefixes removed and names of DINOv2 and transformers replaced; names of those left out.

    Args:
        tensors: As a file names them.
        trunk: The timm model.
    """
    expected = trunk.state_dict()
    named, left_out = _without_prefixes(tensors, expected)
    if "embeddings.patch_embeddings.projection.weight" in named:
        named = _from_transformers(named)
    if named.pop("mask_token", None) is not None:  # used in self-supervision alone
        left_out.append("mask_token")
    return _from_dinov2(named, expected), left_out


def is_left_out(name: str, trunk: nn.Module) -> bool:
    """Whether a tensor belongs to a classifier, a projection or the like, by its name."""
    settings: dict[str, object] = getattr(trunk, "pretrained_cfg", None) or {}
    classifier = settings.get("classifier") or ()
    layers: Iterable[str] = (classifier,) if isinstance(classifier, str) else classifier  # type: ignore[assignment]
    return bool(_LEFT_OUT.search(name)) or any(name.startswith(f"{layer}.") for layer in layers)


def transformer_summary(tensors: Mapping[str, Tensor]) -> str:
    """Width, depth and patch of a vision transformer, and what its blocks have; empty for other networks."""
    patch, blocks = tensors.get("patch_embed.proj.weight"), set[int]()
    for name in tensors:
        if match := re.match(r"blocks\.(\d+)\.", name):
            blocks.add(int(match[1]))
    if patch is None or patch.ndim != 4 or not blocks:
        return ""
    registers = tensors.get("reg_token")
    parts = [f"width {patch.shape[0]}", f"depth {max(blocks) + 1}", f"patches of {patch.shape[-1]} px"]
    parts.append(f"{registers.shape[1]} register tokens" if registers is not None else "no register tokens")
    parts.append("LayerScale" if "blocks.0.ls1.gamma" in tensors else "no LayerScale")
    hidden, out = tensors.get("blocks.0.mlp.fc1.weight"), tensors.get("blocks.0.mlp.fc2.weight")
    if hidden is not None and out is not None:
        gated = "SwiGLU" if hidden.shape[0] == 2 * out.shape[1] else "MLP"
        parts.append(f"{gated} of {out.shape[1]}")
    return ", ".join(parts)


def _without_prefixes(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """Remove what most names start with, again and again; the tensors without it belong to something else."""
    named, left_out, before = dict(tensors), list[str](), ""
    while not any(name in expected for name in named) and "embeddings.cls_token" not in named:
        for prefix in _PREFIXES:
            inside = {
                name.removeprefix(prefix): one for name, one in named.items() if name.startswith(prefix)
            }
            if len(inside) * 2 > len(named):
                left_out += [f"{before}{name}" for name in named if not name.startswith(prefix)]
                named, before = inside, f"{before}{prefix}"
                break
        else:
            break
    return named, left_out


def _from_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of the library transformers to those of DINOv2; queries, keys and values become one tensor."""
    named, parts = dict[str, Tensor](), dict[str, dict[str, Tensor]]()
    for name, tensor in tensors.items():
        block = _TRANSFORMERS_BLOCK.match(name)
        if block is None:
            named[_TRANSFORMERS_NAMES.get(name, name)] = tensor
            continue
        number, rest = block.groups()
        if query := _QUERY.match(rest):
            parts.setdefault(f"blocks.{number}.attn.qkv.{query[2]}", {})[query[1]] = tensor
            continue
        stem, _, kind = rest.rpartition(".")
        if rest in _TRANSFORMERS_BLOCK_NAMES:
            rest = _TRANSFORMERS_BLOCK_NAMES[rest]
        elif stem in _TRANSFORMERS_BLOCK_NAMES:
            rest = f"{_TRANSFORMERS_BLOCK_NAMES[stem]}.{kind}"
        named[f"blocks.{number}.{rest}"] = tensor
    for name, own in parts.items():
        if len(own) == 3:
            named[name] = torch.cat([own["query"], own["key"], own["value"]])
    return named


def _from_dinov2(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of Meta's DINOv2 to timm's: blocks in chunks, SwiGLU, register tokens, and embeddings of the class token."""
    named = dict(tensors)
    chunk = re.compile(r"^blocks\.\d+\.\d+\.")
    if any(map(chunk.match, named)) and not any(map(chunk.match, expected)):
        named = {re.sub(r"^blocks\.\d+\.(\d+)\.", r"blocks.\1.", name): one for name, one in named.items()}
    for old, new in ((".mlp.w12.", ".mlp.fc1."), (".mlp.w3.", ".mlp.fc2.")):
        named = {name.replace(old, new): tensor for name, tensor in named.items()}
    if "register_tokens" in named:
        named["reg_token"] = named.pop("register_tokens")
    position, wanted = named.get("pos_embed"), expected.get("pos_embed")
    if position is None or wanted is None or "cls_token" not in named or "reg_token" not in named:
        return named
    # DINOv2 embeds the class token's position, timm's networks with registers do not: it is added to the token.
    if _is_square(position.shape[1] - 1) and _is_square(wanted.shape[1]):
        named["cls_token"] = named["cls_token"] + position[:, :1]
        named["pos_embed"] = position[:, 1:]
    return named


def _is_square(count: int) -> bool:
    return count > 0 and round(count**0.5) ** 2 == count

"""Files of weights of other programs: .safetensors, and .pth or .bin that hold tensors alone.

A pickle is read with ``weights_only=True``, converted, and never kept: nothing in it is run.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from inkdot.errors import UserError
from inkdot.model.encoders.build import Encoder, timm_model
from inkdot.model.encoders.tensor_names import is_left_out, timm_tensors, transformer_summary

OWN_PREFIX: Final = "backbone."
_HEADS: Final = "heads."
_SAFETENSORS: Final = ".safetensors"
PICKLES: Final = (".pth", ".bin", ".pt", ".ckpt", ".tar")
"""Suffixes of files that torch wrote."""
_AVERAGED: Final = ("state_dict_ema", "model_ema")
_WRAPPERS: Final = (
    *_AVERAGED,
    "state_dict",
    "model_state_dict",
    "model",
    "teacher",
    "module",
    "network",
    "net",
    "backbone",
    "student",
)
"""Entries of a checkpoint that hold the tensors, the best first: a moving average (EMA) is what timm takes and what training
validates, a teacher is what self-supervision releases."""
_PREFERRED: Final = ("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth")
_NAMED: Final = 5
_DEPTH: Final = 5
_COUNTER: Final = "num_batches_tracked"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, by the names that it gives them.

    Raises:
        UserError: The file is missing, a folder, damaged, or holds objects other than tensors.
    """
    expected = "model.weights: expected 'scratch', 'imagenet-lite0', 'pretrained' or a .safetensors, .pth or .bin file, found"
    if path.is_dir():
        files = sorted(file.name for file in path.iterdir() if file.suffix in (_SAFETENSORS, *PICKLES))
        named = path / (files[0] if files else "weights.safetensors")
        raise UserError(f"{expected} the folder {str(path)!r}; name the file in it, such as {named}")
    if not path.is_file():
        raise UserError(f"{expected} nothing at {str(path)!r}")
    if path.suffix != _SAFETENSORS and _is_pickle(path):
        return _from_pickle(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"model.weights: {path}: expected a .safetensors file, or one that torch wrote, found neither "
            f"({' '.join(str(error).split())}); get the file again"
        ) from None


def average_note(path: Path) -> list[str]:
    """A line where a checkpoint holds two sets of weights, of which the moving average is taken, as timm does; else nothing.

    Args:
        path: A file that :func:`read_tensors` reads.
    """
    if path.suffix == _SAFETENSORS or not _is_pickle(path):
        return []
    content = _pickled(path)
    held = [name for name in _WRAPPERS if isinstance(content, Mapping) and _unwrapped(content.get(name))]
    if not held or held[0] not in _AVERAGED or len(held) == 1:
        return []
    return [
        f"{path}: holds {' and '.join(held)}; took {held[0]}, the moving average (EMA) of the weights, as timm does"
    ]


def folder_weights(folder: Path) -> Path:
    """The file of weights in a folder with timm's ``config.json``, safetensors first.

    Raises:
        UserError: There is none, or more than one that could be meant.
    """
    for name in _PREFERRED:
        if (folder / name).is_file():
            return folder / name
    for suffixes in ((_SAFETENSORS,), PICKLES):
        files = sorted(file.name for file in folder.iterdir() if file.suffix in suffixes)
        if len(files) == 1:
            return folder / files[0]
        if files:
            raise UserError(
                f"model.weights: {folder}: expected one file of weights, found {', '.join(files)}; name one in model.weights"
            )
    raise UserError(
        f"model.weights: {folder}: expected a file of weights such as {_PREFERRED[0]}, found none; name the file in model.weights"
    )


def is_inkdot_model(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a file is the ``weights.safetensors`` of a model folder: a backbone and heads."""
    return all(any(name.startswith(prefix) for name in tensors) for prefix in (OWN_PREFIX, _HEADS))


def load_weights(backbone: nn.Module, tensors: Mapping[str, Tensor], source: str, name: str) -> list[str]:
    """Load a backbone from the tensors of a file.

    Args:
        backbone: As :func:`inkdot.model.encoders.build.build_backbone` gives it.
        tensors: As :func:`read_tensors` gives them.
        source: The file, for the message.
        name: The backbone's name, for the message.

    Returns:
        Names of tensors in the file that are no part of a backbone, such as a classifier's.

    Raises:
        UserError: Names or shapes are not those of the backbone, or tensors do not hold finite floating-point numbers; the
            message gives the reason.
    """
    given, left_out = matched_tensors(backbone, tensors, source, name)
    backbone.load_state_dict(given)
    return left_out


def matched_tensors(
    backbone: nn.Module, tensors: Mapping[str, Tensor], source: str, name: str
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of a file by the names of the backbone, and the names of those left out.

    Position embeddings are resampled to the backbone's grid, as timm does; absent counts of batches are 0. The backbone may be
    one of shapes only.

    Raises:
        UserError: As :func:`load_weights`.
    """
    trunk = timm_model(backbone)
    expected = trunk.state_dict()
    pool = _pool_names(backbone, tensors)
    outside = set(pool.values())
    named, left_out = timm_tensors(
        {one: tensor for one, tensor in tensors.items() if one not in outside}, trunk
    )
    try:
        given = _by_timm(named, trunk)
    except Exception as error:  # noqa: BLE001
        given, failure = named, f"timm could not convert it: {' '.join(str(error).split())[:120]}"
    else:
        failure = ""
    for counter in (one for one in expected if one.endswith(_COUNTER) and one not in given):
        given[counter] = torch.zeros((), dtype=torch.long)
    surplus = [one for one in given if one not in expected and is_left_out(one, trunk)]
    left_out = sorted({*left_out, *surplus})
    given = {one: tensor for one, tensor in given.items() if one not in surplus}
    if problems := _problems(given, expected):
        raise UserError(_reason(given, expected, problems, failure, source, name))
    _check_numbers(given, source)
    if not isinstance(backbone, Encoder):
        return given, left_out
    given = {f"trunk.{one}": tensor for one, tensor in given.items()}
    given |= {f"pool.{one}": tensors[found] for one, found in pool.items()}
    if problems := _problems(given, backbone.state_dict()):
        raise UserError(_reason(given, backbone.state_dict(), problems, "", source, name))
    return given, left_out


def _pool_names(backbone: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Names in the file, by the name in the backbone's own pooling; empty where it has none."""
    if not isinstance(backbone, Encoder) or backbone.pool is None:
        return {}
    return {
        own: name
        for own in backbone.pool.state_dict()
        for name in tensors
        if name == own or name.endswith(f".{own}")
    }


def _by_timm(tensors: dict[str, Tensor], trunk: nn.Module) -> dict[str, Tensor]:
    """Timm's own conversion for the model's family, where it has one: it resamples position embeddings, among others."""
    module = sys.modules[type(trunk).__module__]
    convert = cast(
        "Callable[..., dict[str, Tensor]] | None",
        getattr(module, "checkpoint_filter_fn", None) or getattr(module, "_checkpoint_filter_fn", None),
    )
    return dict(convert(dict(tensors), trunk)) if convert is not None else dict(tensors)


def _check_numbers(given: Mapping[str, Tensor], source: str) -> None:
    """Refuse what PyTorch would convert without a word: integers of a quantised network, complex numbers, NaN."""
    for name, tensor in given.items():
        if name.endswith(_COUNTER):
            continue
        if tensor.layout != torch.strided or not tensor.is_floating_point():
            kind = f"{tensor.layout} {tensor.dtype}".replace("torch.", "")
            raise UserError(
                f"model.weights: {source}: expected dense floating-point numbers, found {kind} in {name}; get the weights that "
                "are not quantised or compressed"
            )
        if not torch.isfinite(tensor.float()).all():
            raise UserError(
                f"model.weights: {source}: expected finite numbers, found NaN or infinite ones in {name}; get the file again"
            )


def _problems(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Names and shapes that differ, those of shapes first."""
    problems = [
        f"{name} has shape {_shape(given[name])} instead of {_shape(tensor)}"
        for name, tensor in expected.items()
        if name in given and given[name].shape != tensor.shape
    ]
    problems += [
        f"{name} {_shape(tensor)} is missing" for name, tensor in expected.items() if name not in given
    ]
    problems += [
        f"{name} {_shape(tensor)} is not in the backbone"
        for name, tensor in given.items()
        if name not in expected
    ]
    return problems


def _reason(
    given: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    problems: list[str],
    failure: str,
    source: str,
    name: str,
) -> str:
    """The true reason in one line: a transformer of another size, another kind of network, or single tensors."""
    start = f"model.weights: {source}: expected the weights of {name}"
    here, wanted = transformer_summary(given), transformer_summary(expected)
    if here and wanted and here != wanted:
        return f"{start}, a transformer of {wanted}, found one of {here}; name the backbone that the file belongs to"
    common = sum(one in given for one in expected)
    if not common:
        some = ", ".join(list(given)[:3]) or "none"
        return f"{start}, found none of its {len(expected)} tensors (but {some}); name the backbone that the file belongs to"
    more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    listed = "; ".join([*([failure] if failure else []), *problems[:_NAMED]])
    return f"{start}, found that {listed}{more}; name the backbone that the file belongs to"


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(4)
    return (
        start[:2] == b"PK" or start[:1] == b"\x80"
    )  # a zip file as torch writes it, or a plain pickle of earlier versions


def _pickled(path: Path) -> object:
    """What a pickle holds: tensors and plain containers."""
    try:
        try:
            return _load(path, mmap=True)
        except RuntimeError:  # written by torch before 1.6
            return _load(path, mmap=False)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        raise _damaged(path, str(error)) from None
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":
            raise
        if "weights only" not in str(error).lower():
            raise _damaged(path, str(error)) from None
        raise UserError(
            f"model.weights: {path}: expected a file that holds tensors alone, found a pickle with other objects, which could "
            "run any program; ask its author for a .safetensors file, or write its state_dict to one where you trust it"
        ) from None


def _from_pickle(path: Path) -> dict[str, Tensor]:
    tensors = _unwrapped(_pickled(path))
    if not tensors:
        raise UserError(
            f"model.weights: {path}: expected tensors by name (a state_dict), found none; write the network's state_dict to it"
        )
    return tensors


def _load(path: Path, *, mmap: bool) -> object:
    # weights_only: tensors and plain containers are read, everything else is refused and nothing is run.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on the pickle's protocol: what cannot be read is refused anyway
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)  # noqa: TID251


def _damaged(path: Path, reason: str) -> UserError:
    short = " ".join(reason.split())[:120]
    return UserError(
        f"model.weights: {path}: expected a file that torch wrote, found a damaged or other one ({short}); get the file again"
    )


def _unwrapped(content: object, depth: int = 0) -> dict[str, Tensor]:
    """The tensors of a checkpoint, which may lie in entries of entries, beside single numbers such as ``best_acc1``."""
    if not isinstance(content, Mapping) or depth > _DEPTH:  # a pickle's dictionary may hold itself
        return {}
    entries = cast("Mapping[object, Any]", content)
    for name in _WRAPPERS:
        if tensors := _unwrapped(entries.get(name), depth + 1):
            return tensors
    return {str(name): value.data for name, value in entries.items() if isinstance(value, Tensor)}


def _shape(tensor: Tensor) -> str:
    return "×".join(str(size) for size in tensor.shape) or "scalar"

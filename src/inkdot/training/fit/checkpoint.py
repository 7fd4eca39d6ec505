"""Checkpoints: one safetensors file each, with the state of the run in its header. One file, hence atomic."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from inkdot.bounded_json import parse_json
from inkdot.model.model_folder import cpu_tensors
from inkdot.storage.atomic import write_bytes

_NETWORK, _EMA, _OPTIMIZER, _FACTS = "network.", "average.", "optimizer.", "inkdot"


@dataclass(frozen=True, slots=True)
class RunState:
    """Progress of a training run after a whole epoch.

    Attributes:
        identity: Hash of everything that shapes the run; another run's checkpoint is never continued.
        epoch: Epochs done.
        best_epoch: The best epoch by ``training.monitor``, from 1; 0 before the first.
        history: One row of ``metrics.csv`` per epoch.
    """

    identity: str
    epoch: int = 0
    best_epoch: int = 0
    history: tuple[Mapping[str, float | None], ...] = field(
        default_factory=tuple[Mapping[str, float | None], ...]
    )


def write_checkpoint(
    path: Path,
    state: RunState,
    network: nn.Module,
    optimizer: Optimizer | None = None,
    ema: nn.Module | None = None,
) -> None:
    """Write a checkpoint atomically: tensors of the network, the optimiser and the EMA network, and the state."""
    tensors = {_NETWORK + name: tensor for name, tensor in cpu_tensors(network).items()}
    if ema is not None:
        tensors |= {_EMA + name: tensor for name, tensor in cpu_tensors(ema).items()}
    if optimizer is not None:
        for index, moments in cast("dict[int, dict[str, Tensor]]", optimizer.state_dict()["state"]).items():
            for name, tensor in moments.items():
                tensors[f"{_OPTIMIZER}{index}.{name}"] = tensor.detach().cpu().contiguous()
    # Keys stay in the order given: that of a row is the order of the columns of metrics.csv.
    facts = {
        "identity": state.identity,
        "epoch": state.epoch,
        "best_epoch": state.best_epoch,
        "history": [dict(row) for row in state.history],
    }
    write_bytes(path, save(tensors, metadata={_FACTS: json.dumps(facts)}))


def read_state(path: Path, identity: str) -> RunState | None:
    """The state in a checkpoint of the same run, or None: no file, a damaged one, or another run's."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = parse_json(file.metadata()[_FACTS])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    if facts["identity"] != identity:
        return None
    return RunState(identity, facts["epoch"], facts["best_epoch"], tuple(facts["history"]))


def restore(
    path: Path,
    network: nn.Module,
    optimizer: Optimizer | None = None,
    ema: nn.Module | None = None,
) -> None:
    """Load the tensors of a checkpoint into a network and, where given, an optimiser over its parameters and its EMA."""
    states: dict[int, dict[str, Tensor]] = {}
    tensors: dict[str, Tensor] = {}
    ema_tensors: dict[str, Tensor] = {}
    with safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118 - not a mapping
            if key.startswith(_NETWORK):
                tensors[key.removeprefix(_NETWORK)] = file.get_tensor(key)
            elif key.startswith(_EMA):
                ema_tensors[key.removeprefix(_EMA)] = file.get_tensor(key)
            else:
                index, name = key.removeprefix(_OPTIMIZER).split(".", 1)
                states.setdefault(int(index), {})[name] = file.get_tensor(key)
    network.load_state_dict(tensors)
    if ema is not None:
        ema.load_state_dict(ema_tensors)
    if optimizer is not None:
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": states, "param_groups": groups})


def restore_ema(path: Path, network: nn.Module) -> None:
    """Load the EMA tensors of a checkpoint into a network."""
    with safe_open(path, framework="pt") as file:
        names = [key for key in file.keys() if key.startswith(_EMA)]  # noqa: SIM118 - not a mapping
        network.load_state_dict({name.removeprefix(_EMA): file.get_tensor(name) for name in names})


def manual_seed(seed: int, epoch: int, rank: int = 0) -> None:
    """Seed torch for one epoch on one process, so that dropout is the same with and without an interruption."""
    # Epochs, at most 10,000, count from 1 here: 0 seeds the initial weights.
    torch.manual_seed((seed << 20) + (rank << 14) + epoch + 1)

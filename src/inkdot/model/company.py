"""Processes that train one network together, started by ``torchrun``; most often there is one, and nothing is exchanged."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import os
from typing import NamedTuple

import torch.distributed as dist
from torch import Tensor


class Company(NamedTuple):
    """Which of how many processes this one is.

    Attributes:
        rank: From 0. The first writes files and speaks; the others only compute.
        size: How many there are.
        here: How many of them run on this machine.
    """

    rank: int
    size: int
    here: int

    @property
    def first(self) -> bool:
        """This is the process that writes files and speaks."""
        return self.rank == 0


def company() -> Company:
    """As ``torchrun`` says in the environment; one alone without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    return Company(int(os.environ.get("RANK", "0")), size, int(os.environ.get("LOCAL_WORLD_SIZE", str(size))))


def summed(tensor: Tensor) -> Tensor:
    """The sum of a tensor over all processes; itself where there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor

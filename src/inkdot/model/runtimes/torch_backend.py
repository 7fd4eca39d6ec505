"""The network in PyTorch, in batches of one size, so that the same tiles give the same bytes."""

# pyright: reportUnknownMemberType=false

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from inkdot.errors import UserError
from inkdot.model.network import TileNetwork
from inkdot.model.runtimes.batches import Inferred, LogitArray, batches_of
from inkdot.model.runtimes.precision import precision_on
from inkdot.records import RgbArray
from inkdot.storage.models.model_files import Precision

_EMBEDDINGS = 2
"""Dimensions of a batch of embeddings, [n, features]."""


def as_batch(tiles: Sequence[RgbArray]) -> torch.Tensor:
    """Tiles as the network takes them: uint8, shape [n, 3, side, side], channels last in memory; embeddings stay as they are."""
    batch = torch.from_numpy(np.stack(tiles))
    return batch if batch.ndim == _EMBEDDINGS else batch.permute(0, 3, 1, 2)


def choose_device(name: str) -> torch.device:
    """Choose a device: ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        UserError: The machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"device: expected auto or a device of this machine, found {name!r} ({reason})"
        ) from None


_Network = TypeVar("_Network", bound=nn.Module)


def to_device(network: _Network, device: torch.device) -> _Network:
    """Move a network to a device, in channels-last memory format."""
    network.to(device)
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return network


class TorchNetwork:
    """A network on its device; same interface as :class:`inkdot.model.runtimes.openvino_backend.OpenVinoNetwork`."""

    def __init__(
        self, network: TileNetwork, device: torch.device, batch_size: int, precision: Precision
    ) -> None:
        self._network, self._device = to_device(network, device), device
        self._batch_size = batch_size
        self._precision: Precision = precision
        self.feature_count = network.feature_count

    def logits(self, tiles: Iterable[RgbArray]) -> LogitArray:
        """Logits of all tiles; see :func:`predict_logits`."""
        return predict_logits(
            self._network,
            tiles,
            device=self._device,
            batch_size=self._batch_size,
            precision=self._precision,
        )

    def infer(self, tiles: Iterable[RgbArray]) -> Iterator[Inferred]:
        """Logits and features batch by batch; see :func:`infer_batches`."""
        return infer_batches(
            self._network,
            tiles,
            device=self._device,
            batch_size=self._batch_size,
            precision=self._precision,
        )


def predict_logits(
    network: TileNetwork,
    tiles: Iterable[RgbArray],
    *,
    device: torch.device,
    batch_size: int,
    precision: Precision = "bfloat16",
) -> LogitArray:
    """Logits of all heads, float32 [n, classes of all heads], in the order of the tiles; with attention, its columns after.

    Arguments as in :func:`infer_batches`.
    """
    batches = infer_batches(network, tiles, device=device, batch_size=batch_size, precision=precision)
    parts = [batch.logits for batch in batches]
    return np.concatenate(parts) if parts else np.zeros((0, network.columns), np.float32)


def infer_batches(
    network: TileNetwork,
    tiles: Iterable[RgbArray],
    *,
    device: torch.device,
    batch_size: int,
    precision: Precision = "bfloat16",
) -> Iterator[Inferred]:
    """Logits and features batch by batch, in the order of the tiles.

    The last batch is padded with copies of its last tile, since kernels of another batch size round differently. The batch
    size is halved when the device runs out of memory, until a single tile does not fit. Leaves the network in evaluation
    mode.

    Args:
        network: Already on ``device``.
        tiles: uint8 RGB, shape [side, side, 3] each; taken one batch at a time.
        device: The device of the network.
        batch_size: Tiles per batch.
        precision: bfloat16 where a GPU has it, or float32; a CPU always uses float32.
    """
    network.eval()
    started = deque[tuple[_Outputs, int]]()
    for batch in batches_of(tiles, batch_size):
        done = 0
        while done < len(batch):
            part = batch[done : done + batch_size]
            try:
                started.append((_start(network, part, batch_size, device, precision), len(part)))
            except torch.OutOfMemoryError:
                if batch_size == 1:
                    raise
                batch_size = (batch_size + 1) // 2
            else:
                done += len(part)
            # A GPU gets the next batch before the last one's output is waited for.
            while len(started) > 1:
                yield _finish(*started.popleft())
    while started:
        yield _finish(*started.popleft())


_Outputs = tuple[torch.Tensor, torch.Tensor]


def _start(
    network: TileNetwork, tiles: list[RgbArray], size: int, device: torch.device, precision: Precision
) -> _Outputs:
    """Logits and features of a batch, padded to its size; a GPU may still be computing them."""
    pixels = as_batch(tiles + [tiles[-1]] * (size - len(tiles)))
    if device.type == "cuda":
        pixels = pixels.pin_memory()  # otherwise the copy waits for all started batches
    with torch.inference_mode(), _autocast(device, precision):
        return network.forward_with_features(pixels.to(device, non_blocking=True))


def _finish(outputs: _Outputs, count: int) -> Inferred:
    """Wait for a batch; the first rows of its outputs."""
    return Inferred(*(values.float().cpu().numpy()[:count] for values in outputs))


def _autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    if precision_on(device.type, precision, "torch") == "float32":
        return nullcontext()
    return torch.autocast("cuda", dtype=torch.bfloat16)

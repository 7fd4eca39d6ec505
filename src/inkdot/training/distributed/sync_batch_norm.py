"""What a network that sees one share of a batch needs to compute as if it saw the whole batch.

Nothing of the network changes: its own layers ask PyTorch for the statistics of batch normalisation and for dropout, and are
labelled for the whole batch. Hence any layer that timm knows, the same weights files, and nothing to undo afterwards.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from inkdot.training.distributed.process_group import company, gathered, summed


def with_sync_batch_norm(dealt: int = 1) -> AbstractContextManager[object]:
    """Within it, a network in training normalises and drops out over the batches of all processes; alone as ever.

    It is for the forward pass; the backward pass finds its own way to the others. Every process must pass through the same
    layers in the same order.

    Args:
        dealt: How many rows one process has before it is the next one's turn.
    """
    return _SyncBatchNorm(dealt) if company().size > 1 else nullcontext()


class _SyncBatchNorm(TorchFunctionMode):
    def __init__(self, dealt: int) -> None:
        super().__init__()
        self._dealt = dealt

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func is functional.batch_norm:
            return batch_norm(*args, **given)
        if func is functional.dropout:
            return dropout(*args, **given, dealt=self._dealt)
        return func(*args, **given)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``torch.nn.functional.batch_norm`` with the statistics of the parts that all processes hold, of whatever sizes.

    ``torch.nn.SyncBatchNorm`` does the same on CUDA alone.

    Raises:
        ValueError: All parts together have one value per channel, as PyTorch says of one batch.
    """
    if not training:
        return functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    number, mean, variance = _moments(input)
    if running_mean is not None:
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
    if running_var is not None:
        unbiased = variance * (number / (number - 1))
        running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    scale = torch.ones_like(mean) if weight is None else weight
    shift = torch.zeros_like(mean) if bias is None else bias
    inverse = (variance + eps).rsqrt()
    return cast(Tensor, _Normalised.apply(input, scale, shift, number, mean, inverse))


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    dealt: int = 1,
) -> Tensor:
    """``torch.nn.functional.dropout`` of this process's rows, as one process would have dropped them.

    So many rows are ``dealt`` out in turn, as many to each process, and all draw the same random numbers.
    """
    if not training or not p:
        return functional.dropout(input, p, training, inplace)
    own = company()
    whole = torch.ones(len(input) * own.size, *input.shape[1:], dtype=input.dtype, device=input.device)
    kept = functional.dropout(whole, p).unflatten(0, (-1, dealt))[own.rank :: own.size].flatten(0, 1)
    return input.mul_(kept) if inplace else input * kept


def all_gather_rows(own: Tensor) -> Tensor:
    """The rows of all processes in the order in which one would have them, dealt out one by one, as many to each.

    What every process computes of them, and gives a part of to the sum of all losses, finds its way back to whose the rows are.

    Args:
        own: This process's rows, shape [n, …].
    """
    return cast(Tensor, _RowsOfAll.apply(own)) if company().size > 1 else own


class _RowsOfAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        return gathered(own.contiguous()).transpose(0, 1).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        own = company()
        # Summed in place, hence a copy: the gradient is not ours.
        every = gradients[0].clone(memory_format=torch.contiguous_format)
        return summed(every)[own.rank :: own.size]


def _moments(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Over all processes: how many values a channel has, their mean, and their biased variance, both [channels].

    In two passes and by the differences between the processes' means (Chan, Golub, LeVeque 1979): the mean of the squares
    less the square of the mean would lose the digits that a channel far from 0 needs.
    """
    with torch.no_grad():
        channels, dims = values.shape[1], _all_but_channels(values)
        here = values.numel() // channels
        own = torch.zeros(1 + 2 * channels, dtype=torch.float64, device=values.device)
        if here:
            exact = _exact(values)
            mean = exact.mean(dims)
            squares = (exact - _per_channel(mean, values)).square_().sum(dims)
            own = torch.cat([own.new_tensor([here]), mean.double(), squares.double()])
        counts, means, squares = gathered(own).split([1, channels, channels], dim=1)
        number = counts.sum()
        # Asked only where this process has too few by itself: reading the metric means waiting for the device.
        if here < 2 and int(number) < 2:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {list(values.shape)}"
            )
        mean = (counts * means).sum(dim=0) / number
        variance = (squares + counts * (means - mean).square()).sum(dim=0) / number
        dtype = torch.promote_types(values.dtype, torch.float32)
        return number.to(dtype), mean.to(dtype), variance.to(dtype)


class _Normalised(torch.autograd.Function):
    """``(values - mean) * inverse * scale + shift``, where mean and inverse deviation depend on everybody's values."""

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        scale: Tensor,
        shift: Tensor,
        number: Tensor,
        mean: Tensor,
        inverse: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(values, scale, number, mean, inverse)
        centred = _exact(values) - _per_channel(mean, values)
        factor, added = (_per_channel(_exact(tensor), values) for tensor in (scale * inverse, shift))
        return torch.addcmul(added, centred, factor).to(values.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, scale, number, mean, inverse = ctx.saved_tensors
        gradient, dims = _exact(gradients[0]), _all_but_channels(values)
        standard = (_exact(values) - _per_channel(mean, values)) * _per_channel(inverse, values)
        # By this process's values alone: the gradients of weights are added up over the processes afterwards.
        of_shift, of_scale = gradient.sum(dims), (gradient * standard).sum(dims)
        of_values = None
        if ctx.needs_input_grad[0]:
            level, slope = summed(torch.stack([of_shift, of_scale])) / number
            rest = gradient - _per_channel(level, values) - standard * _per_channel(slope, values)
            of_values = (rest * _per_channel(scale * inverse, values)).to(values.dtype)
        return of_values, of_scale.to(scale.dtype), of_shift.to(scale.dtype), None, None, None


def _exact(tensor: Tensor) -> Tensor:
    """In float32 at least: half the digits are too few for sums."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _all_but_channels(values: Tensor) -> list[int]:
    return [0, *range(2, values.ndim)]


def _per_channel(tensor: Tensor, values: Tensor) -> Tensor:
    """Shape [channels] as it meets values of shape [n, channels, …]."""
    return tensor.reshape(1, -1, *[1] * (values.ndim - 2))

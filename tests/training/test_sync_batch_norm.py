"""A share of a batch is normalised and dropped out as if one process saw the whole batch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from inkdot.training.distributed.sync_batch_norm import batch_norm, dropout, with_sync_batch_norm

_SHARES = """
import sys

import numpy as np
import timm
import torch
import torch.distributed as dist
from torch import nn

from inkdot.training.distributed.sync_batch_norm import with_sync_batch_norm, all_gather_rows

dist.init_process_group("gloo")
rank = dist.get_rank()
layers = {
    "plain": nn.BatchNorm2d(5),
    "act": timm.layers.BatchNormAct2d(5),
    "cumulative": nn.BatchNorm2d(5, momentum=None),
    "bare": nn.BatchNorm2d(5, affine=False, track_running_stats=False),
}
given = np.load(sys.argv[1])
found = {}
for cut in (2, 0, 7):
    rows = slice(0, cut) if rank == 0 else slice(cut, None)
    for name, layer in layers.items():
        values = torch.from_numpy(given["values"][rows]).requires_grad_()
        if layer.affine:
            layer.load_state_dict({"weight": torch.from_numpy(given["weight"]), "bias": torch.from_numpy(given["bias"])}, False)
            layer.reset_running_stats()
        layer.zero_grad()
        with with_sync_batch_norm():
            out = layer.train()(values)
        out.backward(torch.from_numpy(given["gradient"][rows]))
        here = {"out": out, "values": values.grad} | {f"{n}.grad": p.grad for n, p in layer.named_parameters()}
        here |= layer.state_dict()
        with with_sync_batch_norm():
            here["judged"] = layer.eval()(values)
        found |= {f"{cut}/{name}/{key}": tensor.detach().numpy() for key, tensor in here.items()}
own = torch.from_numpy(given["flat"][rank::2]).requires_grad_()
every = all_gather_rows(own)
(every.T @ every).pow(2).sum().div(4 if rank else 4 / 3).backward()
found |= {"every": every.detach().numpy(), "every.grad": own.grad.numpy()}
try:
    with with_sync_batch_norm():
        nn.BatchNorm1d(3)(torch.ones(1 - rank, 3))
except ValueError as error:
    found["refused"] = np.array(str(error))
np.savez(f"{sys.argv[2]}/{rank}.npz", **found)
dist.destroy_process_group()
"""

ROWS = 7


def given() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    level = np.array([-10.0, -1.0, 0.0, 3.0, 20.0]).reshape(1, 5, 1, 1)
    values = generator.normal(level, 2.0, (ROWS, 5, 3, 4))
    arrays = {
        "values": values,
        "flat": generator.normal(size=(6, 3)),
        "gradient": generator.normal(size=values.shape),
        "weight": generator.uniform(0.5, 2.0, 5),
        "bias": generator.normal(size=5),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_two_processes_with_unequal_shares_normalise_as_one_batch(
    tmp_path: Path, run_script: Callable[..., None]
) -> None:
    from timm.layers import BatchNormAct2d

    np.savez(tmp_path / "given.npz", **given())
    script = tmp_path / "shares.py"
    script.write_text(_SHARES)
    run_script(2, script, tmp_path / "given.npz", tmp_path)
    shares = [np.load(tmp_path / f"{rank}.npz") for rank in range(2)]
    layers = {
        "plain": nn.BatchNorm2d(5),
        "act": BatchNormAct2d(5),
        "cumulative": nn.BatchNorm2d(5, momentum=None),
        "bare": nn.BatchNorm2d(5, affine=False, track_running_stats=False),
    }
    arrays = {name: torch.from_numpy(array) for name, array in given().items()}
    for name, layer in layers.items():
        if layer.affine:
            layer.load_state_dict({key: arrays[key] for key in ("weight", "bias")}, strict=False)
        values = arrays["values"].clone().requires_grad_()
        out = layer(values)
        out.backward(arrays["gradient"])
        rows = {"out": out.detach(), "values": values.grad, "judged": layer.eval()(values).detach()}
        for cut in (2, 0, 7):
            first, second = ({key: share[f"{cut}/{name}/{key}"] for key in rows} for share in shares)
            for key, expected in rows.items():
                if (
                    key == "judged" and name == "bare"
                ):  # without statistics of its own it takes the whole batch's
                    expected = rows["out"]
                together = np.concatenate([first[key], second[key]])
                np.testing.assert_allclose(together, expected, atol=1e-5, err_msg=f"{cut} {name} {key}")
            for key, parameter in layer.named_parameters():
                added = sum(share[f"{cut}/{name}/{key}.grad"] for share in shares)
                np.testing.assert_allclose(added, parameter.grad, atol=1e-5, rtol=1e-5, err_msg=key)
            for share in shares:
                for key, buffer in layer.named_buffers():
                    np.testing.assert_allclose(share[f"{cut}/{name}/{key}"], buffer, rtol=1e-5, err_msg=key)
    assert all("more than 1 value per channel" in str(share["refused"]) for share in shares)
    # A quarter of a loss of all rows in one process, three quarters in the other: the gradient is that of the loss.
    flat = arrays["flat"].requires_grad_()
    (flat.T @ flat).pow(2).sum().backward()
    for rank, share in enumerate(shares):
        np.testing.assert_array_equal(share["every"], flat.detach())
        np.testing.assert_allclose(share["every.grad"], flat.grad[rank::2], rtol=1e-5)


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 5), (3, 4, 5, 2)])
def test_of_one_share_it_is_what_pytorch_computes(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    values, gradient = torch.randn(2, *shape, dtype=torch.float64)
    start = torch.rand(4, dtype=torch.float64) + 0.5, torch.randn(4, dtype=torch.float64)

    def tried(compute) -> list[Tensor]:
        own, weight, bias = (t.clone().requires_grad_() for t in (values, *start))
        mean, variance = torch.zeros(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
        out = compute(own, mean, variance, weight, bias, training=True, momentum=0.3, eps=1e-3)
        out.backward(gradient)
        return [out.detach(), mean, variance, *(t.grad for t in (own, weight, bias))]

    for found, expected in zip(tried(batch_norm), tried(functional.batch_norm), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_channel_far_from_zero_keeps_its_digits() -> None:
    torch.manual_seed(2)
    values = torch.randn(64, 3, 8, 8) + 3000.0
    expected = functional.batch_norm(values.double(), None, None, training=True, eps=1e-5)
    found = batch_norm(values, None, None, training=True, eps=1e-5)
    # The mean of the squares less the square of the mean would be off by more than the deviation, which is 1.
    assert float((found - expected).abs().max()) < 1e-3


def test_half_precision_goes_in_and_out_and_sums_are_exact() -> None:
    torch.manual_seed(3)
    values = (torch.randn(8, 3, 16, 16) + 4).bfloat16()
    found = batch_norm(values, None, None, torch.ones(3), torch.zeros(3), training=True)
    assert found.dtype == torch.bfloat16
    expected = functional.batch_norm(values.float(), None, None, training=True)
    torch.testing.assert_close(found.float(), expected, rtol=2**-8, atol=2**-8)


def test_one_value_per_channel_is_refused_as_pytorch_does() -> None:
    for compute in (batch_norm, functional.batch_norm):
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            compute(torch.ones(1, 3, 1, 1), None, None, training=True)


def test_shares_drop_out_the_rows_that_one_process_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.randn(12, 40)
    torch.manual_seed(7)
    expected = functional.dropout(values, 0.3)
    after = torch.rand(3)
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        torch.manual_seed(7)
        own = values[rank::3].clone()
        assert torch.equal(dropout(own, 0.3), expected[rank::3])
        assert torch.equal(torch.rand(3), after)
        assert torch.equal(dropout(own, 0.3, training=False), own)
        torch.manual_seed(7)
        assert torch.equal(dropout(own, 0.3, inplace=True), expected[rank::3])
        assert torch.equal(own, expected[rank::3])
        # Rows two by two, as the tiles of a slide go together.
        rows = [2 * (rank + 3 * turn) + k for turn in range(2) for k in range(2)]
        torch.manual_seed(7)
        assert torch.equal(dropout(values[rows], 0.3, dealt=2), expected[rows])


def test_layers_ask_for_it_only_where_several_train_and_keep_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5))
    names, tiles = list(network.state_dict()), torch.randn(4, 3, 2, 2)

    def seen() -> Tensor:
        torch.manual_seed(0)
        with with_sync_batch_norm():
            return network(tiles).detach()

    alone = seen()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not torch.equal(seen(), alone)  # other rows are dropped
    network.eval()
    judged = seen()
    monkeypatch.delenv("WORLD_SIZE")
    assert torch.equal(seen(), judged)
    assert list(network.state_dict()) == names

import numpy as np
import pytest
import torch

from inkdot.model.network import TileNetwork
from inkdot.model.runtimes.torch_backend import predict_logits


def test_every_batch_has_the_same_size_whatever_the_number_of_tiles(tiny_spec, training_tiles):
    # Kernels are chosen by batch size and round differently: a smaller last batch may change last digits.
    network = TileNetwork(tiny_spec)
    sizes: list[int] = []
    network.backbone.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    tiles = list(training_tiles.tiles())[:21]
    logits = predict_logits(network, tiles, device=torch.device("cpu"), batch_size=8)
    assert sizes == [8, 8, 8]
    assert logits.shape == (21, 4)
    alone = predict_logits(network, tiles[20:], device=torch.device("cpu"), batch_size=8)
    np.testing.assert_allclose(alone[0], logits[20], atol=1e-5)


def test_tiles_are_taken_one_batch_at_a_time(tiny_spec, training_tiles):
    network = TileNetwork(tiny_spec)
    taken = 0
    ahead: list[int] = []
    network.backbone.register_forward_pre_hook(lambda _, inputs: ahead.append(taken))

    def stream():
        nonlocal taken
        for tile in list(training_tiles.tiles())[:20]:
            taken += 1
            yield tile

    predict_logits(network, stream(), device=torch.device("cpu"), batch_size=5)
    assert ahead == [5, 10, 15, 20]


def test_batches_shrink_when_memory_runs_out_and_nothing_is_lost(tiny_spec, training_tiles):
    network = TileNetwork(tiny_spec)
    tiles = list(training_tiles.tiles())[:21]
    expected = predict_logits(network, tiles, device=torch.device("cpu"), batch_size=16)
    sizes: list[int] = []

    def little_memory(_: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        sizes.append(len(inputs[0]))
        if sizes[-1] > 4:
            raise torch.OutOfMemoryError("out of memory")

    network.backbone.register_forward_pre_hook(little_memory)
    found = predict_logits(network, tiles, device=torch.device("cpu"), batch_size=16)
    assert sizes == [16, 8, 4, 4, 4, 4, 4, 4]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_tile_that_does_not_fit_alone_is_an_error(tiny_spec, training_tiles):
    network = TileNetwork(tiny_spec)

    def no_memory(*_: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    network.backbone.register_forward_pre_hook(no_memory)
    with pytest.raises(torch.OutOfMemoryError):
        predict_logits(network, training_tiles.tiles(), device=torch.device("cpu"), batch_size=16)

import numpy as np
import pytest
import torch

from inkdot.config import AugmentationConfig, config_from_mapping
from inkdot.datasets.augmentation.transforms import Augmentation
from inkdot.datasets.tile_set import (
    EpochDraws,
    TileSet,
    evenly_spread,
    training_augmentation,
    training_loader,
)
from inkdot.model.runtimes.torch_backend import as_batch


def draws_for(tiles, seed=0, batch_size=16):
    return EpochDraws(np.full(len(tiles), 1 / len(tiles)), batch_size, seed)


def batches(tiles, workers, epoch=1):
    draws = draws_for(tiles)
    draws.epoch = epoch
    loader = training_loader(tiles, Augmentation(AugmentationConfig()), draws, workers)
    return [(pixels.clone(), targets.clone()) for pixels, targets in loader]


def test_the_number_of_loader_processes_changes_nothing(training_tiles):
    alone, helped = batches(training_tiles, 0), batches(training_tiles, 2)
    assert len(alone) == len(helped) == 6
    for (pixels, targets), (other_pixels, other_targets) in zip(alone, helped, strict=True):
        assert torch.equal(pixels, other_pixels)
        assert torch.equal(targets.nan_to_num(-1), other_targets.nan_to_num(-1))


def test_epochs_differ_and_a_persistent_loader_follows_the_epoch(training_tiles):
    draws = draws_for(training_tiles)
    loader = training_loader(training_tiles, Augmentation(AugmentationConfig()), draws, 0)
    first = next(iter(loader))[0].clone()
    draws.epoch = 1
    second = next(iter(loader))[0].clone()
    draws.epoch = 0
    assert not torch.equal(first, second)
    assert torch.equal(first, next(iter(loader))[0])


def test_batches_are_whole_and_hold_the_tiles_own_data(training_tiles):
    draws = draws_for(training_tiles, batch_size=20)
    sizes = [len(batch) for batch in draws]
    assert sizes == [20] * len(draws)
    shorter = EpochDraws(np.full(100, 0.01), 8, 0, tiles=43)
    assert [len(batch) for batch in shorter] == [8] * 5
    few = EpochDraws(np.array([0.5, 0.5]), 64, 0)
    assert [len(batch) for batch in few] == [2]


def test_pixels_and_targets_belong_together(training_tiles):
    plain = Augmentation(AugmentationConfig(geometry=False, colour=0.0, focus=0.0, jpeg=0.0))
    draws = draws_for(training_tiles)
    loader = training_loader(training_tiles, plain, draws, 0)
    for (pixels, targets), batch in zip(loader, draws, strict=True):
        for image, target, draw in zip(pixels, targets, batch, strict=True):
            np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), training_tiles.tile(draw.row))
            np.testing.assert_array_equal(target.numpy(), training_tiles.targets[draw.row])


def test_a_batch_is_channels_last_without_a_copy(training_tiles):
    batch = as_batch([training_tiles.tile(0), training_tiles.tile(1)])
    assert batch.shape == (2, 3, 32, 32)
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_rand_stain_na_gives_each_tile_the_colours_of_a_drawn_slide():
    # Two slides, 40 levels apart in every channel; without spread every tile gets the mean of both.
    generator = np.random.default_rng(0)
    arrays = [np.clip(generator.normal(m, 8, (3, 16, 16, 3)), 0, 255).astype(np.uint8) for m in (110, 150)]
    slides = np.array(["a"] * 3 + ["b"] * 3)
    tiles = TileSet(
        arrays, np.repeat([0, 1], 3), np.tile(np.arange(3), 2), np.ones((6, 2), np.float32), slides, slides
    )
    off = {"geometry": False, "colour": 0.0, "focus": 0.0, "jpeg": 0.0}
    config = config_from_mapping({"augmentation": off | {"rand_stain_na": 1e-9}})
    draws = EpochDraws(np.full(6, 1 / 6), 6, 0)
    for pixels, _ in training_loader(tiles, training_augmentation(config, tiles), draws, 0):
        means = pixels.float().mean(dim=(1, 2, 3))
        assert torch.all((means - 130).abs() < 3), means
    plain = training_augmentation(config_from_mapping({"augmentation": off}), tiles)
    assert {abs(plain(tiles.tile(row), 0, "a").mean() - 130) > 15 for row in range(6)} == {True}


@pytest.mark.parametrize(
    ("count", "most", "rows"),
    [(0, 4, []), (1, 4, [0]), (3, 4, [0, 1, 2]), (10, 4, [0, 3, 6, 9]), (9, 2, [0, 8])],
)
def test_rows_are_spread_evenly_from_the_first_to_the_last(count: int, most: int, rows: list[int]) -> None:
    assert evenly_spread(count, most) == rows

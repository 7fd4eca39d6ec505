"""``model.weights`` of another Inkdot model: its backbone sees the pixels that it was trained on."""

import shutil

import numpy as np
import pytest
import torch
from fixtures.painted_tiles import run_context
from safetensors.torch import load_file, save_file

from inkdot.config import config_from_mapping
from inkdot.errors import StorageError, UserError
from inkdot.model.encoders.resolve import resolve_backbone
from inkdot.model.encoders.starting_weights import source_normalisation
from inkdot.model.encoders.timm_names import backbone_normalisation
from inkdot.model.model_folder import load_model, save_model
from inkdot.storage.models.model_files import read_model_file
from inkdot.storage.models.model_records import TrainedOn
from inkdot.training.fit.objective import TileObjective, TrainingData
from inkdot.training.fit.pretrained import check_start, starting_network
from inkdot.training.fit.trainer import fit
from inkdot.training.release.calibrate import describe


def with_settings(config, weights, **training):
    values = config.model_dump(mode="json")
    values["model"]["weights"] = str(weights)
    values["training"] |= training
    return config_from_mapping(values)


def trained_model(folder, config, training, validation, console):
    """A whole model folder, as ``inkdot train`` makes it from tiles."""
    data = TrainingData(training, validation, "selftest_", str(folder))
    network, _ = starting_network(config, training)
    context = run_context(folder, config, console)
    fit(network, TileObjective(data, config, context.fabric), context)
    seen = TrainedOn(
        synthetic=True, slides=8, patients=8, tiles_per_class={}, preparations=[], stains=[], sites=0, scanners=0
    )  # fmt: skip
    save_model(folder / "model", network, describe(network, data, config, seen))
    return folder / "model"


@pytest.fixture
def source(tmp_path, tiny_config, training_tiles, validation_tiles, quiet):
    config = with_settings(tiny_config, "scratch", epochs=1)
    return trained_model(tmp_path / "source", config, training_tiles, validation_tiles, quiet)


def features(model, tiles):
    _, network = load_model(model)
    with torch.inference_mode():
        return network.features(torch.from_numpy(tiles).permute(0, 3, 1, 2))


def test_a_frozen_warm_start_reproduces_the_features_of_its_source(
    tmp_path, source, tiny_config, training_tiles, validation_tiles, quiet
):
    # Other tiles than the source's: statistics taken from them would differ from the source's too.
    config = with_settings(tiny_config, source / "weights.safetensors", epochs=2, freeze_epochs=2)
    model = trained_model(tmp_path / "warm", config, validation_tiles, training_tiles, quiet)
    tiles = np.stack([training_tiles.tile(row) for row in range(8)])
    assert torch.equal(features(model, tiles), features(source, tiles))
    of_source, of_model = read_model_file(source), read_model_file(model)
    assert of_model.normalisation_mean == of_source.normalisation_mean
    assert of_model.normalisation_std == of_source.normalisation_std
    assert of_source.normalisation_mean != pytest.approx(backbone_normalisation(of_source.backbone)[0])
    heads = "heads.malignancy.weight"
    assert not torch.equal(
        load_file(model / "weights.safetensors")[heads], load_file(source / "weights.safetensors")[heads]
    )


def test_a_file_with_timms_names_has_timms_normalisation(tmp_path, source, tiny_config):
    tensors = load_file(source / "weights.safetensors")
    timms = {
        name.removeprefix("backbone."): tensor
        for name, tensor in tensors.items()
        if name.startswith("backbone.")
    }
    save_file(timms, tmp_path / "timm.safetensors")
    backbone = resolve_backbone(tiny_config.model.backbone, tiny_config.tiling.side_px)
    assert source_normalisation(tmp_path / "timm.safetensors", backbone, timms) == backbone.normalisation
    assert backbone.normalisation == backbone_normalisation(tiny_config.model.backbone)


def test_what_the_source_had_seen_is_said(source, tiny_config, training_tiles):
    _, notes = starting_network(with_settings(tiny_config, source / "weights.safetensors"), training_tiles)
    (note,) = (line for line in notes if line.startswith("Started from the weights"))
    assert "was trained on 8 synthetic slides of 8 patients" in note
    assert starting_network(with_settings(tiny_config, "scratch"), training_tiles)[1] == []


def test_a_folder_is_named_with_the_file_in_it(source, tiny_config):
    with pytest.raises(UserError, match=r"found the folder .* such as .*weights\.safetensors"):
        check_start(with_settings(tiny_config, source))


@pytest.mark.parametrize("name", ["weights.safetensors", "renamed.safetensors"])
def test_weights_outside_of_their_model_folder_are_refused_before_any_work(
    tmp_path, source, tiny_config, name
):
    shutil.copy(source / "weights.safetensors", tmp_path / name)
    with pytest.raises(UserError, match=r"without model\.json.*name RUN/model/weights\.safetensors"):
        check_start(with_settings(tiny_config, tmp_path / name))


def test_a_model_json_of_other_weights_is_refused(source, tiny_config):
    tensors = load_file(source / "weights.safetensors")
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, source / "weights.safetensors")
    with pytest.raises(StorageError, match=r"expected the weights that model\.json describes"):
        check_start(with_settings(tiny_config, source / "weights.safetensors"))

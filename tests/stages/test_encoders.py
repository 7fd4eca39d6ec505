"""``inkdot encoders``, and models on published encoders: what is said, kept, and rebuilt without the source."""

import json
import shutil

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from inkdot.config import config_from_mapping
from inkdot.errors import UserError
from inkdot.model.frozen_encoder import EncoderSource, load_encoder
from inkdot.model.model_folder import load_model, save_model
from inkdot.stages import encoders
from inkdot.stages.model import show as model_show
from inkdot.storage.models.model_files import read_model_file
from inkdot.storage.models.model_records import TrainedOn
from inkdot.training.fit.objective import TrainingData
from inkdot.training.fit.pretrained import check_start, starting_network
from inkdot.training.release.calibrate import describe
from inkdot.training.release.model_card import card_text

SEEN = TrainedOn(
    synthetic=True, slides=8, patients=8, tiles_per_class={}, preparations=[], stains=[], sites=0, scanners=0
)  # fmt: skip


def with_model(config, **model):
    values = config.model_dump(mode="json")
    values["model"] |= model
    return config_from_mapping(values)


def stored(folder, config, training, validation):
    network, notes = starting_network(config, training)
    data = TrainingData(training, validation, "selftest_", "id")
    save_model(folder, network, describe(network, data, config, SEEN))
    return network, notes


def features(network, tiles):
    with torch.inference_mode():
        return network.eval().features(torch.from_numpy(tiles).permute(0, 3, 1, 2))


def test_the_table_and_the_facts_of_one_are_printed(capsys):
    assert encoders.run() == 0
    assert (
        "uni2-h         histology  224      0.5              1536   CC-BY-NC-ND-4.0"
        in capsys.readouterr().out
    )
    assert encoders.run("virchow2") == 0
    printed = capsys.readouterr().out
    assert "embedding      2560 wide: class token and mean of the patch tokens, side by side" in printed
    assert "licence        CC-BY-NC-ND-4.0; no commercial use" in printed
    assert encoders.run("crown", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["hub"] == "LexieK/Crown"
    with pytest.raises(UserError, match="found 'virchow3'; similar ones are virchow, virchow2"):
        encoders.run("virchow3")


def test_the_config_lines_of_every_encoder_are_a_config():
    import yaml

    for recipe in encoders.encoder_recipes().values():
        config = config_from_mapping(yaml.safe_load("\n".join(encoders.config_lines(recipe))))
        assert (config.model.backbone, config.tiling.side_px) == (recipe.name, recipe.side_px)


def test_a_folder_of_timm_is_needed_once_and_its_features_are_timms(
    tmp_path, tiny_config, training_tiles, validation_tiles
):
    arguments = {
        "embed_dim": 32,
        "depth": 2,
        "num_heads": 2,
        "patch_size": 8,
        "init_values": 0.5,
        "reg_tokens": 2,
    }
    torch.manual_seed(4)
    published = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=32, **arguments).eval()
    source = tmp_path / "source"
    source.mkdir()
    settings = {
        "mean": [0.6, 0.5, 0.4],
        "std": [0.2, 0.2, 0.3],
        "input_size": [3, 32, 32],
        "fixed_input_size": True,
    }
    config = {"architecture": "vit_tiny_patch16_224", "model_args": arguments, "pretrained_cfg": settings}
    (source / "config.json").write_text(json.dumps(config))
    save_file(published.state_dict(), source / "model.safetensors")
    chosen = with_model(tiny_config, backbone=f"local-dir:{source}", weights="pretrained", tta_views=1)
    check_start(chosen)
    stored(tmp_path / "model", chosen, training_tiles, validation_tiles)
    shutil.rmtree(source)
    description, network = load_model(tmp_path / "model")
    assert description.backbone == "vit_tiny_patch16_224"
    assert description.encoder == f"local-dir:{source}"
    tiles = np.stack([training_tiles.tile(row) for row in range(4)])
    pixels = torch.from_numpy(tiles).permute(0, 3, 1, 2) / 255
    normalised = (pixels - torch.tensor(settings["mean"]).view(3, 1, 1)) / torch.tensor(settings["std"]).view(
        3, 1, 1
    )
    with torch.inference_mode():
        torch.testing.assert_close(features(network, tiles), published(normalised), atol=1e-5, rtol=1e-4)


def test_a_non_commercial_licence_is_said_kept_and_passed_on(
    tmp_path, tiny_config, training_tiles, validation_tiles, capsys
):
    torch.manual_seed(0)
    file = tmp_path / "kaiko.pth"
    source = timm.create_model("vit_small_patch16_224", num_classes=0)
    torch.save({"state_dict": {f"module.{name}": one for name, one in source.state_dict().items()}}, file)  # noqa: TID251
    chosen = with_model(tiny_config, backbone="kaiko-s16", weights=str(file))
    (line,) = check_start(chosen)
    assert "kaiko-non-commercial, which forbids commercial use, also of models made with it" in line
    first = tmp_path / "first" / "model"
    _, notes = stored(first, chosen, training_tiles, validation_tiles)
    assert any("position embeddings are resampled to 32 px" in note for note in notes)
    description = read_model_file(first)
    assert description.licence == line
    assert f"- {line}" in card_text(description, [])
    assert "Backbone kaiko-s16 (vit_small_patch16_224)" in card_text(description, [])
    model_show.run(first)
    assert f"licence      {line}" in capsys.readouterr().out
    # A model that starts from it has the licence too, under the name of timm's architecture.
    warm = with_model(
        tiny_config, backbone="vit_small_patch16_224", weights=str(first / "weights.safetensors")
    )
    assert check_start(warm) == [line]
    embedded = EncoderSource("vit_small_patch16_224", str(first / "weights.safetensors"), 32)
    assert load_encoder(embedded).spec.licence == line
    assert check_start(with_model(tiny_config, backbone="kaiko-s16", weights="scratch")) == []


def test_no_hub_is_one_line(monkeypatch, tiny_config):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        UserError, match=r"expected the repository owner/name .* name their folder as local-dir:"
    ) as error:
        check_start(with_model(tiny_config, backbone="hf-hub:owner/name"))
    assert "\n" not in str(error.value)


def test_an_older_model_json_loads_and_a_plain_one_has_no_new_keys(repository):
    values = json.loads((repository / "models" / "demo" / "model.json").read_text(encoding="utf-8"))
    assert not {"backbone_kwargs", "pooling", "input_px", "encoder", "licence"} & values.keys()
    description, network = load_model(repository / "models" / "demo")
    assert description.pooling == network.spec.pooling == "default"
    assert network.spec.input_px is None

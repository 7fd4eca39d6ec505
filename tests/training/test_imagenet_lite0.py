"""``model.weights: imagenet-lite0``: the weights of the package, checked by a known image."""

import shutil
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import skimage.data
import timm
import torch

from inkdot.config import config_from_mapping
from inkdot.config.training import LITE0_BACKBONE, LITE0_PACKAGE
from inkdot.errors import ConfigError, UserError
from inkdot.model.encoders import imagenet_lite0
from inkdot.model.frozen_encoder import EncoderSource, FrozenEncoder
from inkdot.training.fit.pretrained import check_start, starting_network

needs_package = pytest.mark.skipif(find_spec(LITE0_PACKAGE) is None, reason="needs inkdot[pretrained]")
CATS = {281, 282, 285}  # tabby, tiger cat, Egyptian cat
ESPRESSO = 967


@pytest.fixture
def lite0_config(tiny_config):
    values = tiny_config.model_dump(mode="json")
    del values["model"]["backbone"]
    values["model"]["weights"] = "imagenet-lite0"
    return config_from_mapping(values)


def likeliest(network: torch.nn.Module, image: np.ndarray) -> list[int]:
    """The five likeliest ImageNet classes of the centre square."""
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = cv2.resize(image[top : top + side, left : left + side], (224, 224), interpolation=cv2.INTER_AREA)
    pixels = torch.from_numpy(square).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        return network((pixels - 0.5) / 0.5)[0].topk(5).indices.tolist()


@needs_package
def test_the_weights_know_a_cat_and_a_cup_of_coffee():
    network = timm.create_model(LITE0_BACKBONE).eval()
    network.load_state_dict(imagenet_lite0.imagenet_lite0_tensors())
    cat = likeliest(network, skimage.data.chelsea())
    assert set(cat[:3]) == CATS
    assert likeliest(network, skimage.data.coffee())[0] == ESPRESSO


@needs_package
def test_a_network_starts_from_them_with_their_normalisation(lite0_config, training_tiles):
    check_start(lite0_config)
    network, notes = starting_network(lite0_config, training_tiles)
    tensors = imagenet_lite0.imagenet_lite0_tensors()
    own = network.backbone.state_dict()
    assert set(tensors) - set(own) == {"classifier.weight", "classifier.bias"}
    assert all(torch.equal(own[name], tensors[name]) for name in own)
    assert network.spec.normalisation_mean == network.spec.normalisation_std == (0.5, 0.5, 0.5)
    assert "ImageNet-1k" in notes[0]
    assert "Apache-2.0" in notes[0]


def test_weights_alone_name_their_backbone(lite0_config):
    assert lite0_config.model.backbone == "tf_efficientnet_lite0"


def test_timms_tag_of_these_weights_is_another_name_of_the_backbone():
    given = {"weights": "imagenet-lite0", "backbone": "tf_efficientnet_lite0.in1k"}
    assert config_from_mapping({"model": given}).model.backbone == "tf_efficientnet_lite0"
    with pytest.raises(ConfigError, match=r"found 'tf_efficientnet_lite0\.other'"):
        config_from_mapping({"model": given | {"backbone": "tf_efficientnet_lite0.other"}})


@needs_package
def test_an_encoder_of_these_weights_has_one_hash_and_says_what_they_are():
    tagged, plain = (
        FrozenEncoder(EncoderSource(name, "imagenet-lite0", 32, precision="float32"), runtime="torch")
        for name in ("tf_efficientnet_lite0.in1k", "tf_efficientnet_lite0")
    )
    assert tagged.sha256 == plain.sha256
    assert plain.notes == [imagenet_lite0.CARD_NOTE]
    assert "Apache-2.0" in plain.notes[0]


def test_another_backbone_is_refused():
    with pytest.raises(
        ConfigError, match=r"expected tf_efficientnet_lite0 .* found 'resnet18'; leave it out"
    ):
        config_from_mapping({"model": {"weights": "imagenet-lite0", "backbone": "resnet18"}})


def test_a_missing_package_is_named(lite0_config, monkeypatch):
    monkeypatch.setattr(imagenet_lite0, "LITE0_PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(UserError, match=r"expected the Python package .*found none; .*inkdot\[pretrained\]"):
        check_start(lite0_config)


@needs_package
def test_a_changed_file_is_refused(lite0_config, monkeypatch, tmp_path):
    spec = find_spec(LITE0_PACKAGE)
    assert spec is not None
    (source,) = spec.submodule_search_locations or ()
    package = tmp_path / "a_changed_package"
    shutil.copytree(source, package)
    file = package / "models" / "efficientnet-lite0-57934424.pth"
    content = bytearray(file.read_bytes())
    content[-1000] ^= 1
    file.write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(imagenet_lite0, "LITE0_PACKAGE", package.name)
    with pytest.raises(UserError, match=r"expected .* with the SHA-256 57934424.*found"):
        check_start(lite0_config)

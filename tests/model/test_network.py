import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from inkdot.errors import UserError
from inkdot.labels import head_slices
from inkdot.model.encoders.timm_names import backbone_normalisation
from inkdot.model.encoders.weights_file import load_weights, read_tensors
from inkdot.model.network import NetworkSpec, TileNetwork


@pytest.mark.parametrize(
    "backbone", ["test_efficientnet", "test_vit", "mobilenetv3_small_050", "regnetx_002"]
)
def test_any_backbone_gives_one_logit_per_class_of_every_head(tiny_spec, backbone):
    network = TileNetwork(dataclasses.replace(tiny_spec, backbone=backbone)).eval()
    logits = network(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    assert logits.shape == (2, 4)
    assert torch.isfinite(logits).all()


def test_head_slices_follow_the_order_of_score_columns(tiny_spec):
    assert head_slices(tiny_spec.heads) == {"malignancy": slice(0, 2), "morphology": slice(2, 4)}


def test_normalisation_is_part_of_the_network(tiny_spec):
    spec = dataclasses.replace(
        tiny_spec, normalisation_mean=(0.9, 0.8, 0.7), normalisation_std=(0.1, 0.2, 0.3)
    )
    network = TileNetwork(spec).eval()
    seen = []
    network.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    network(pixels)
    expected = (pixels.numpy() / 255 - np.reshape([0.9, 0.8, 0.7], (1, 3, 1, 1))) / np.reshape(
        [0.1, 0.2, 0.3], (1, 3, 1, 1)
    )
    np.testing.assert_allclose(seen[0].numpy(), expected, atol=1e-5)


def test_an_unknown_backbone_names_close_ones():
    with pytest.raises(UserError, match=r"found 'mobilenetv3_smal_100'.*mobilenetv3_small_100"):
        backbone_normalisation("mobilenetv3_smal_100")


def test_the_normalisation_of_pretrained_weights_is_timms():
    assert backbone_normalisation("mobilenetv3_small_100")[0] == (0.485, 0.456, 0.406)


def loaded(network: TileNetwork, path: Path) -> list[str]:
    """Load a file into the backbone; the names that were left out."""
    return load_weights(network.backbone, read_tensors(path), str(path), network.spec.backbone)


class TestLocalWeights:
    """A laboratory brings its own weights as a file."""

    @pytest.fixture
    def network(self, tiny_spec):
        return TileNetwork(tiny_spec)

    def test_timms_names_are_loaded_and_the_classifier_is_left_out(self, network, tmp_path):
        tensors = {name: torch.full_like(t, 2) for name, t in network.backbone.state_dict().items()}
        tensors |= {"classifier.weight": torch.zeros(1000, 256), "classifier.bias": torch.zeros(1000)}
        save_file(tensors, tmp_path / "w.safetensors")
        ignored = loaded(network, tmp_path / "w.safetensors")
        assert ignored == ["classifier.bias", "classifier.weight"]
        assert (network.backbone.state_dict()["conv_stem.weight"] == 2).all()

    def test_inkdots_own_weights_are_loaded_without_their_heads(self, network, tiny_spec, tmp_path):
        other = TileNetwork(tiny_spec)
        save_file(other.state_dict(), tmp_path / "w.safetensors")
        ignored = loaded(network, tmp_path / "w.safetensors")
        assert all(name.startswith("heads.") for name in ignored)
        assert len(ignored) == 4
        for name, tensor in other.backbone.state_dict().items():
            assert torch.equal(network.backbone.state_dict()[name], tensor)

    def test_a_mismatch_gives_names_and_shapes(self, network, tmp_path):
        tensors = network.backbone.state_dict()
        tensors["conv_stem.weight"] = torch.zeros(5, 3, 7, 7)
        del tensors["bn1.bias"]
        tensors["extra.weight"] = torch.zeros(2)
        save_file(tensors, tmp_path / "w.safetensors")
        with pytest.raises(UserError) as error:
            loaded(network, tmp_path / "w.safetensors")
        for words in (
            "bn1.bias",
            "is missing",
            "extra.weight 2 is not",
            "conv_stem.weight has shape 5×3×7×7 instead of",
        ):
            assert words in str(error.value)

    @pytest.mark.parametrize("content", [None, b"not tensors"])
    def test_no_file_or_another_kind_of_file_is_the_users_error(self, network, tmp_path, content):
        path = tmp_path / "w.safetensors"
        if content:
            path.write_bytes(content)
        with pytest.raises(UserError, match=r"model\.weights"):
            loaded(network, path)


def test_heads_of_another_laboratory(tiny_spec):
    heads = (dataclasses.replace(tiny_spec.heads[0], name="grade", classes=("a", "b", "c"), flag_class="c"),)
    network = TileNetwork(NetworkSpec("test_efficientnet", 0.0, heads, 32)).eval()
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


@pytest.mark.parametrize("views", [2, 4, 8])
def test_views_are_the_mean_of_the_logits_of_the_turned_tiles(tiny_spec, views):
    plain = TileNetwork(tiny_spec).eval()
    many = TileNetwork(dataclasses.replace(tiny_spec, tta_views=views)).eval()
    many.load_state_dict(plain.state_dict())
    tiles = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    turned = [tiles, tiles[:, :, ::-1], tiles[:, ::-1], tiles[:, ::-1, ::-1]]
    turned += [np.swapaxes(view, 1, 2) for view in turned]
    assert len({view[0].tobytes() for view in turned}) == 8

    def logits(network, pixels):
        with torch.inference_mode():
            return network(torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2)).numpy()

    expected = np.mean([logits(plain, view) for view in turned[:views]], axis=0)
    np.testing.assert_allclose(logits(many, tiles), expected, atol=1e-5)
    assert np.abs(expected - logits(plain, tiles)).max() > 1e-4


def test_training_looks_at_one_view(tiny_spec):
    network = TileNetwork(dataclasses.replace(tiny_spec, tta_views=8)).train()
    seen = []
    network.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    network(torch.zeros(4, 3, 32, 32, dtype=torch.uint8))
    assert seen == [(4, 3, 32, 32)]

"""Backbones: what they are built from, what they take, and what is said of those that cannot take a tile."""

import json

import pytest
import timm
import torch
from torch.nn import functional

from inkdot.config import config_from_mapping
from inkdot.errors import UserError
from inkdot.model.encoders.backbone_spec import BackboneSpec, architecture_arguments
from inkdot.model.encoders.build import build_backbone, embedding_width, timm_model
from inkdot.model.encoders.fitting import misfit
from inkdot.model.encoders.resolve import resolve_backbone
from inkdot.training.fit.pretrained import check_start

SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2}
REGISTERS = {**SMALL, "reg_tokens": 4, "init_values": 1e-5, "mlp_layer": "SwiGLUPacked", "act_layer": "silu"}


def embeddings(spec, tiles):
    torch.manual_seed(0)
    backbone = build_backbone(spec).eval()
    with torch.inference_mode():
        return backbone, backbone(tiles)


def tiles_of(side, count=2):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_a_timm_model_is_built_as_timm_builds_it():
    backbone, found = embeddings(BackboneSpec("test_resnet", 64), tiles_of(64))
    torch.manual_seed(0)
    plain = timm.create_model("test_resnet", num_classes=0).eval()
    assert list(backbone.state_dict()) == list(plain.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(found, plain(tiles_of(64)))


@pytest.mark.parametrize("pooling", ["cls", "mean", "cls_mean"])
def test_tokens_are_pooled_without_the_registers(pooling):
    spec = BackboneSpec("vit_tiny_patch16_224", 64, REGISTERS, pooling)
    backbone, found = embeddings(spec, tiles_of(64))
    with torch.inference_mode():
        tokens = timm_model(backbone).forward_features(tiles_of(64))
    assert tokens.shape == (2, 1 + 4 + 16, 32)
    parts = {"cls": [tokens[:, 0]], "mean": [tokens[:, 5:].mean(1)]}
    parts["cls_mean"] = parts["cls"] + parts["mean"]
    torch.testing.assert_close(found, torch.cat(parts[pooling], dim=1))
    assert embedding_width(backbone) == found.shape[1] == (64 if pooling == "cls_mean" else 32)


@pytest.mark.parametrize(("side", "input_px"), [(256, 224), (96, 224)])
def test_resizing_in_the_network_is_torchs_antialiased_bilinear_one(side, input_px):
    spec = BackboneSpec("vit_tiny_patch16_224", side, SMALL, input_px=input_px)
    backbone, found = embeddings(spec, tiles_of(side))
    resized = functional.interpolate(
        tiles_of(side), size=(input_px, input_px), mode="bilinear", antialias=True
    )
    with torch.inference_mode():
        torch.testing.assert_close(found, timm_model(backbone)(resized), atol=1e-5, rtol=1e-4)
    assert "resizing" not in backbone.state_dict()


@pytest.mark.parametrize(
    ("backbone", "side", "message"),
    [
        ("resnet18.imagenet", 128, r"a tag of resnet18 that timm knows, found 'imagenet'; choose one of resnet18\.a1_in1k"),
        ("efficientformer_l1", 256, r"side_px: .*efficientformer_l1 can take, found 256 px .*; set tiling\.side_px to 224"),
        ("halonet26t", 224, r"halonet26t can take, found 224 px .*set tiling\.side_px to .*256"),
        ("vit_tiny_patch16_224", 250, r"patches are 16 px wide, and 250 px is no multiple.*to 240 or 256"),
        ("uni2h", 224, r"expected a timm model name, found 'uni2h'; similar ones are .*uni2-h"),
    ],
)  # fmt: skip
def test_a_misfit_is_found_before_any_work_and_says_what_fits(backbone, side, message):
    config = config_from_mapping({"model": {"backbone": backbone}, "tiling": {"side_px": side}})
    with pytest.raises(UserError, match=message) as error:
        check_start(config)
    assert "\n" not in str(error.value)


def test_an_encoder_of_a_billion_weights_is_checked_without_memory_for_them():
    before = torch.get_rng_state()
    assert misfit(BackboneSpec("vit_giant_patch14_reg4_dinov2", 224, {"init_values": 1e-5})) is None
    assert torch.equal(torch.get_rng_state(), before)


def test_a_recipe_takes_tiles_that_are_no_multiple_of_its_patch():
    found = resolve_backbone("uni2-h", 256)
    assert found.spec.input_px == 224
    assert found.scale_notes(None) == [
        "uni2-h: tiles of 256 px are resized to 224 px inside the network, which cannot take 256 px."
    ]
    assert resolve_backbone("uni2-h", 252).spec.input_px is None
    assert resolve_backbone("hf-hub:MahmoodLab/UNI2-h", 224).recipe == found.recipe


class TestLocalFolder:
    """``local-dir:`` as timm writes it."""

    @pytest.fixture
    def folder(self, tmp_path):
        args = {**SMALL, "init_values": 0.1, "checkpoint_path": "/etc/passwd", "img_size": 64}
        config = {"architecture": "vit_tiny_patch16_224", "model_args": args,
                  "pretrained_cfg": {"mean": [0.7, 0.6, 0.5], "std": [0.2, 0.3, 0.4], "input_size": [3, 64, 64],
                                     "fixed_input_size": True}}  # fmt: skip
        (tmp_path / "config.json").write_text(json.dumps(config))
        return tmp_path

    def test_architecture_and_normalisation_are_those_of_its_config(self, folder):
        found = resolve_backbone(f"local-dir:{folder}", 96)
        assert found.spec == BackboneSpec("vit_tiny_patch16_224", 96, {**SMALL, "init_values": 0.1})
        assert found.normalisation == ((0.7, 0.6, 0.5), (0.2, 0.3, 0.4))

    def test_no_folder_and_a_config_of_another_library_are_refused_in_one_line(self, tmp_path):
        with pytest.raises(
            UserError, match=r"expected a folder with timm's config\.json, found no such folder"
        ):
            resolve_backbone(f"local-dir:{tmp_path / 'absent'}", 64)
        (tmp_path / "config.json").write_text('{"model_type": "dinov2"}')
        with pytest.raises(UserError, match=r"expected timm's config\.json with an architecture"):
            resolve_backbone(f"local-dir:{tmp_path}", 64)

    def test_a_config_without_normalisation_has_timms_default(self, tmp_path):
        (tmp_path / "config.json").write_text('{"architecture": "test_resnet", "pretrained_cfg": {}}')
        model = timm.create_model(f"local-dir:{tmp_path}", pretrained=False)
        expected = (tuple(model.pretrained_cfg["mean"]), tuple(model.pretrained_cfg["std"]))
        assert resolve_backbone(f"local-dir:{tmp_path}", 64).normalisation == expected

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"mean": [123.7, 116.3, 103.5]}, r"mean: expected three numbers from 0 to 1, found \[123\.7"),
            ({"mean": 0.5}, r"mean: expected three numbers from 0 to 1, found 0\.5"),
            ({"mean": ["a", "b", "c"]}, r"mean: expected three numbers"),
            ({"std": [0.2, 0.2]}, r"std: expected three numbers above 0 and up to 1, found \[0\.2, 0\.2\]"),
            ({"std": [0.2, 0, 0.2]}, r"std: expected three numbers above 0"),
        ],
    )
    def test_a_normalisation_that_is_none_is_refused(self, tmp_path, settings, message):
        config = {"architecture": "test_resnet", "pretrained_cfg": settings}
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(UserError, match=message):
            resolve_backbone(f"local-dir:{tmp_path}", 64)

    def test_an_architecture_that_is_no_name_is_refused(self, tmp_path):
        (tmp_path / "config.json").write_text('{"architecture": 5, "pretrained_cfg": {}}')
        with pytest.raises(UserError, match="expected the name of a timm model as architecture, found 5"):
            resolve_backbone(f"local-dir:{tmp_path}", 64)


def test_a_name_with_an_empty_tag_or_in_capitals_is_refused_with_the_ones_that_there_are():
    with pytest.raises(
        UserError, match=r"expected a tag of resnet50 .* found ''; choose one of resnet50\.a1_in1k"
    ):
        resolve_backbone("resnet50.", 64)
    with pytest.raises(UserError, match=r"found 'UNI'; similar ones are uni, "):
        resolve_backbone("UNI", 64)


def test_arguments_that_load_files_are_never_passed_on():
    given = {
        "init_values": 1e-5,
        "checkpoint_path": "x",
        "pretrained_cfg": {},
        "cache_dir": "y",
        "reg_tokens": None,
    }
    assert architecture_arguments(given, "config.json") == {"init_values": 1e-5}
    with pytest.raises(UserError, match=r"config\.json: expected one of Mlp, .* found 'os\.system'"):
        architecture_arguments({"mlp_layer": "os.system"}, "config.json")
    with pytest.raises(UserError, match=r"for the argument norm_layer, found dict"):
        architecture_arguments({"norm_layer": {}}, "config.json")

"""Files of weights of other programs: their names, prefixes and wrappers, and the reason where they do not fit."""

import os
import pickle  # noqa: TID251 - to make a harmful file

import pytest
import timm
import torch
from fixtures.dinov2_reference import dinov2_tensors, dinov2_tokens, transformers_names
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from inkdot.errors import UserError
from inkdot.model.encoders.backbone_spec import BackboneSpec
from inkdot.model.encoders.build import build_backbone
from inkdot.model.encoders.fitting import module_of_shapes
from inkdot.model.encoders.weights_file import (
    average_note,
    folder_weights,
    load_weights,
    matched_tensors,
    read_tensors,
)

SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2, "patch_size": 4, "mlp_ratio": 2.0, "init_values": 1.0}
GATED = SMALL | {"mlp_ratio": 4.0, "mlp_layer": "SwiGLUPacked", "act_layer": "silu"}
REGISTERS = {"reg_tokens": 4, "no_embed_class": True}
TILES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))


def vit(pooling="cls", side=16, **kwargs):
    torch.manual_seed(1)
    return build_backbone(BackboneSpec("vit_tiny_patch16_224", side, kwargs, pooling)).eval()


def loaded(backbone, tensors):
    return load_weights(backbone, tensors, "file.pth", "the encoder")


@pytest.mark.parametrize("swiglu", [False, True])
@pytest.mark.parametrize("registers", [0, 4])
@pytest.mark.parametrize("naming", ["dinov2", "teacher", "chunks", "transformers"])
def test_files_of_dinov2_give_the_features_of_an_independent_network(swiglu, registers, naming):
    tensors = dinov2_tensors(swiglu=swiglu, registers=registers)
    expected = dinov2_tokens(tensors, TILES)
    named = {
        "dinov2": tensors,
        "teacher": {f"backbone.{name}": one for name, one in tensors.items()} | {"dino_head.mlp.0.weight": torch.zeros(2)},
        "chunks": {name.replace("blocks.", "blocks.0."): one for name, one in tensors.items()},
        "transformers": transformers_names(tensors),
    }[naming]  # fmt: skip
    kwargs = (GATED if swiglu else SMALL) | (REGISTERS if registers else {})
    backbone = vit("cls_mean", **kwargs)
    left_out = loaded(backbone, named)
    with torch.inference_mode():
        found = backbone(TILES)
    torch.testing.assert_close(found[:, :32], expected[:, 0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found[:, 32:], expected[:, 1 + registers :].mean(1), atol=1e-5, rtol=1e-4)
    assert any("mask_token" in name for name in left_out)
    assert ("dino_head.mlp.0.weight" in left_out) == (naming == "teacher")


def test_position_embeddings_are_resampled_as_timm_does():
    torch.manual_seed(0)
    published = timm.create_model("vit_tiny_patch16_224", num_classes=5, img_size=16, **SMALL).eval()
    backbone = vit("default", side=24, **SMALL)
    assert loaded(backbone, published.state_dict()) == ["head.bias", "head.weight"]
    expected = timm.create_model(
        "vit_tiny_patch16_224", num_classes=0, img_size=16, dynamic_img_size=True, **SMALL
    )
    expected.load_state_dict({n: t for n, t in published.state_dict().items() if not n.startswith("head.")})
    tiles = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        torch.testing.assert_close(backbone(tiles), expected.eval()(tiles), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.module.", "model.backbone.", "encoder.", "trunk.", "visual.trunk."]
)
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "teacher"])
def test_prefixes_and_wrappers_of_training_programs_are_removed(tmp_path, prefix, wrapper):
    torch.manual_seed(0)
    source = timm.create_model("test_resnet", num_classes=3)
    tensors = {f"{prefix}{name}": tensor for name, tensor in source.state_dict().items()}
    tensors = {name: one for name, one in tensors.items() if not name.endswith("num_batches_tracked")}
    torch.save({wrapper: tensors, "epoch": 3} if wrapper else tensors, tmp_path / "w.pth")  # noqa: TID251
    backbone = build_backbone(BackboneSpec("test_resnet", 64))
    left_out = loaded(backbone, read_tensors(tmp_path / "w.pth"))
    assert [name.removeprefix(prefix) for name in left_out] == ["fc.bias", "fc.weight"]
    for name, tensor in backbone.state_dict().items():
        expected = (
            torch.zeros((), dtype=torch.long)
            if name.endswith("num_batches_tracked")
            else source.state_dict()[name]
        )
        assert torch.equal(tensor, expected), name


def test_the_attention_of_conch_is_loaded_by_its_published_names():
    torch.manual_seed(0)
    tokens, query = torch.randn(2, 17, 32), torch.randn(1, 768)
    pool = {
        "attn_pool_contrast.query": query,
        "attn_pool_contrast.ln_k.weight": torch.rand(32), "attn_pool_contrast.ln_k.bias": torch.rand(32),
        "attn_pool_contrast.ln_q.weight": torch.rand(768), "attn_pool_contrast.ln_q.bias": torch.rand(768),
        "attn_pool_contrast.to_q.weight": torch.randn(768, 768) / 20, "attn_pool_contrast.to_kv.weight": torch.randn(1536, 32),
        "attn_pool_contrast.to_out.weight": torch.randn(768, 768) / 20,
        "ln_contrast.weight": torch.rand(768), "ln_contrast.bias": torch.rand(768),
    }  # fmt: skip
    backbone = vit("attention", **SMALL)
    source = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=16, **SMALL)
    trunk = {f"trunk.{name}": one for name, one in source.state_dict().items()}
    loaded(backbone, trunk | pool)
    with torch.inference_mode():
        found = backbone.pool(tokens)
    # The published code, written out: scaled queries, softmax over the tokens of each of 8 heads.
    own = {name.removeprefix("attn_pool_contrast."): one for name, one in pool.items()}
    asked = functional.layer_norm(query, (768,), own["ln_q.weight"], own["ln_q.bias"]) @ own["to_q.weight"].T
    keys, values = (
        functional.layer_norm(tokens, (32,), own["ln_k.weight"], own["ln_k.bias"]) @ own["to_kv.weight"].T
    ).chunk(2, dim=-1)
    heads = []
    for head in range(8):
        part = slice(96 * head, 96 * (head + 1))
        weights = (asked[:, part] * 96**-0.5 @ keys[..., part].transpose(1, 2)).softmax(dim=-1)
        heads.append((weights @ values[..., part])[:, 0])
    expected = torch.cat(heads, dim=1) @ own["to_out.weight"].T
    expected = functional.layer_norm(expected, (768,), own["ln_contrast.weight"], own["ln_contrast.bias"])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    del pool["ln_contrast.bias"]
    with pytest.raises(UserError, match=r"ln_contrast\.bias 768 is missing"):
        loaded(backbone, trunk | pool)


class TestTheTrueReason:
    """One line says what the file is, not only which names differ."""

    def test_a_transformer_of_another_size(self):
        with pytest.raises(UserError) as error:
            loaded(vit(**SMALL), vit(**SMALL | {"embed_dim": 48, "depth": 3}).trunk.state_dict())
        assert str(error.value) == (
            "model.weights: file.pth: expected the weights of the encoder, a transformer of width 32, depth 2, patches of 4 px, "
            "no register tokens, LayerScale, MLP of 64, found one of width 48, depth 3, patches of 4 px, no register tokens, "
            "LayerScale, MLP of 96; name the backbone that the file belongs to"
        )

    def test_another_kind_of_network(self):
        with pytest.raises(UserError, match=r"found none of its \d+ tensors \(but conv1\.0\.weight"):
            loaded(vit(**SMALL), timm.create_model("test_resnet").state_dict())

    def test_a_transformer_without_layerscale_or_with_registers(self):
        plain = vit(**{**SMALL, "init_values": 0.0}).trunk.state_dict()
        plain = {name: one for name, one in plain.items() if ".ls" not in name}
        with pytest.raises(UserError, match=r"LayerScale, MLP of 64, found one of .* no LayerScale"):
            loaded(vit(**SMALL), plain)
        with pytest.raises(UserError, match=r"no register tokens, .* found one of .* 4 register tokens"):
            loaded(vit(**SMALL), vit(**SMALL | REGISTERS).trunk.state_dict())

    def test_a_check_needs_no_memory_for_the_weights(self):
        spec = BackboneSpec("vit_tiny_patch16_224", 16, SMALL, "cls")
        given, _ = matched_tensors(module_of_shapes(spec), vit(**SMALL).trunk.state_dict(), "f", "n")
        assert all(name.startswith("trunk.") for name in given)


class Harmful:
    """Would run a command when a pickle of it is read without ``weights_only``."""

    def __reduce__(self):
        return os.system, ("touch harmed",)


class TestPickles:
    def test_a_pickle_with_other_objects_is_refused_and_nothing_is_run(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        torch.save({"a": torch.zeros(1), "b": Harmful()}, tmp_path / "w.bin")  # noqa: TID251
        with pytest.raises(
            UserError, match="expected a file that holds tensors alone, found a pickle with other objects"
        ):
            read_tensors(tmp_path / "w.bin")
        (tmp_path / "plain.pth").write_bytes(pickle.dumps(Harmful()))
        with pytest.raises(UserError, match=r"plain\.pth: expected a file that"):
            read_tensors(tmp_path / "plain.pth")
        assert not (tmp_path / "harmed").exists()

    @pytest.mark.parametrize(
        ("name", "content"), [("w.pth", b"no"), ("w.bin", b""), ("w.safetensors", b"no"), ("w", b"no")]
    )
    def test_a_damaged_file_is_the_users_error_in_one_line(self, tmp_path, name, content):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=r"expected a .*; get the file again") as error:
            read_tensors(tmp_path / name)
        assert "\n" not in str(error.value)

    def test_old_files_whole_modules_and_files_without_tensors(self, tmp_path):
        tensors = {"a.weight": torch.ones(2)}
        torch.save(tensors, tmp_path / "old.pth", _use_new_zipfile_serialization=False)  # noqa: TID251
        assert torch.equal(read_tensors(tmp_path / "old.pth")["a.weight"], torch.ones(2))
        torch.save(nn.Linear(2, 2), tmp_path / "module.pt")  # noqa: TID251
        with pytest.raises(UserError, match="found a pickle with other objects"):
            read_tensors(tmp_path / "module.pt")
        torch.save({"epoch": 1}, tmp_path / "none.pth")  # noqa: TID251
        with pytest.raises(UserError, match="expected tensors by name"):
            read_tensors(tmp_path / "none.pth")


def test_numbers_beside_the_tensors_of_a_checkpoint_are_not_its_tensors(tmp_path):
    # As the ImageNet example of PyTorch writes it, with an accuracy that is a tensor.
    own = {"module.a.weight": torch.ones(2)}
    torch.save({"state_dict": own, "best_acc1": torch.tensor(71.2)}, tmp_path / "w.pth")  # noqa: TID251
    assert list(read_tensors(tmp_path / "w.pth")) == ["module.a.weight"]
    endless = {}
    endless["model"] = endless
    torch.save(endless, tmp_path / "endless.pth")  # noqa: TID251
    with pytest.raises(UserError, match="expected tensors by name"):
        read_tensors(tmp_path / "endless.pth")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda own: own.to(torch.int8),
            r"expected dense floating-point numbers, found strided int8 in conv1",
        ),
        (lambda own: own.to(torch.complex64), r"found strided complex64 in conv1"),
        (lambda own: own.to_sparse(), r"found sparse_coo float32 in conv1"),
        (lambda own: own * float("nan"), r"expected finite numbers, found NaN or infinite ones in conv1"),
    ],
)
def test_numbers_that_pytorch_would_convert_without_a_word_are_refused(change, message):
    tensors = timm.create_model("test_resnet", num_classes=0).state_dict()
    backbone = build_backbone(BackboneSpec("test_resnet", 64))
    assert loaded(backbone, {name: one.bfloat16() for name, one in tensors.items()}) == []
    name = next(iter(tensors))
    with pytest.raises(UserError, match=message):
        loaded(backbone, tensors | {name: change(tensors[name])})


def test_the_file_in_a_folder(tmp_path):
    with pytest.raises(UserError, match=r"expected a file of weights such as model\.safetensors, found none"):
        folder_weights(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "one.safetensors")
    assert folder_weights(tmp_path).name == "one.safetensors"
    save_file({"a": torch.zeros(1)}, tmp_path / "two.safetensors")
    with pytest.raises(UserError, match=r"found one\.safetensors, two\.safetensors"):
        folder_weights(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    assert folder_weights(tmp_path).name == "model.safetensors"


def test_of_two_sets_of_weights_the_moving_average_is_taken_and_named(tmp_path):
    torch.manual_seed(0)
    plain, average = (timm.create_model("resnet18", num_classes=0).state_dict() for _ in range(2))
    path = tmp_path / "checkpoint.pth"
    torch.save({"epoch": 3, "state_dict": plain, "state_dict_ema": average}, path)  # noqa: TID251 - as others write it
    assert torch.equal(read_tensors(path)["conv1.weight"], average["conv1.weight"])
    (line,) = average_note(path)
    assert "took state_dict_ema, the moving average (EMA)" in line
    torch.save({"state_dict": plain, "state_dict_ema": None}, path)  # noqa: TID251 - as others write it
    assert torch.equal(read_tensors(path)["conv1.weight"], plain["conv1.weight"])
    assert average_note(path) == []
    torch.save(plain, path)  # noqa: TID251 - as others write it
    assert average_note(path) == []
    save_file(plain, tmp_path / "a.safetensors")
    assert average_note(tmp_path / "a.safetensors") == []

"""Recipes of published encoders, built with shapes alone; no real file of weights was read here."""

import re
from functools import cache

import pytest
import torch

from inkdot.model.encoders.backbone_spec import BackboneSpec
from inkdot.model.encoders.build import build_backbone, embedding_width, timm_model
from inkdot.model.encoders.fitting import misfit, module_of_shapes, patch_px
from inkdot.model.encoders.recipes import encoder_recipes, licence_notes, recipe_of
from inkdot.model.encoders.resolve import resolve_backbone

RECIPES = encoder_recipes()

PUBLISHED_MILLIONS = {
    # Parameters as published: model cards, LazySlide's table, and sizes of float32 files over 4 bytes.
    "uni": (303.3, "303 M, UNI's paper and card"),
    "uni2-h": (681.0, "681 M, UNI2-h's card"),
    "virchow": (631.2, "631.2 M, LazySlide"),
    "virchow2": (631.2, "631.2 M, LazySlide"),
    "h-optimus-0": (4540 / 4, "pytorch_model.bin of 4.54 GB"),
    "h-optimus-1": (1134.8, "1.13 B, LazySlide"),
    "h0-mini": (85.7, "85.7 M, LazySlide"),
    "phikon-v2": (1210 / 4, "model.safetensors of 1.21 GB"),
    "prov-gigapath": (1134.8, "1.13 B, LazySlide"),
    "kaiko-b16": (343 / 4, "model.safetensors of 343 MB"),
    "kaiko-l14": (1220 / 4, "model.safetensors of 1.22 GB"),
    "midnight": (1136.0, "ViT-g/14 of 1.1 B, its paper"),
    "dinobloom-s": (86.5 / 4, "model.safetensors of 86.5 MB"),
    "dinobloom-b": (343 / 4, "model.safetensors of 343 MB"),
    "dinobloom-l": (1210 / 4, "model.safetensors of 1.21 GB"),
    "dinobloom-g": (4540 / 4, "model.safetensors of 4.54 GB"),
}


def spec_of(name, **changes):
    recipe = RECIPES[name]
    values = {"side_px": recipe.side_px, "kwargs": recipe.kwargs, "pooling": recipe.pooling} | changes
    return BackboneSpec(recipe.architecture, **values)


@cache
def shapes_of(name):
    """Built once: a network of a thousand tensors takes a second, without numbers, too."""
    return module_of_shapes(spec_of(name))


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_takes_its_tiles_and_gives_its_width(name):
    recipe = RECIPES[name]
    spec = spec_of(name)
    assert misfit(spec) is None
    assert embedding_width(shapes_of(name)) == recipe.width
    assert patch_px(spec) == recipe.patch_px
    assert all(0 < value < 1 for value in (*recipe.mean, *recipe.std))


@pytest.mark.parametrize("name", PUBLISHED_MILLIONS)
def test_a_recipe_has_as_many_weights_as_published(name):
    millions = sum(tensor.numel() for tensor in shapes_of(name).parameters()) / 1e6
    assert millions == pytest.approx(PUBLISHED_MILLIONS[name][0], rel=0.006)


SHAPES = {
    "uni": {"ls1": 1024, "fc1": (4096, 1024), "fc2": (1024, 4096), "pos_embed": (1, 197, 1024)},
    "uni2-h": {"ls1": 1536, "fc1": (8192, 1536), "fc2": (1536, 4096), "reg": 8, "pos_embed": (1, 256, 1536)},
    "virchow": {"ls1": 1280, "fc1": (6832, 1280), "fc2": (1280, 3416), "pos_embed": (1, 257, 1280)},
    "virchow2": {"ls1": 1280, "fc1": (6832, 1280), "fc2": (1280, 3416), "reg": 4, "pos_embed": (1, 261, 1280)},
    "h-optimus-0": {"ls1": 1536, "fc1": (8192, 1536), "fc2": (1536, 4096), "reg": 4, "pos_embed": (1, 256, 1536)},
    "h0-mini": {"ls1": 768, "fc1": (4096, 768), "fc2": (768, 2048), "reg": 4, "pos_embed": (1, 256, 768)},
    "prov-gigapath": {"ls1": 1536, "fc1": (8192, 1536), "fc2": (1536, 4096), "pos_embed": (1, 197, 1536)},
    "kaiko-b8": {"fc1": (3072, 768), "fc2": (768, 3072), "pos_embed": (1, 785, 768)},
    "kaiko-l14": {"ls1": 1024, "fc1": (4096, 1024), "fc2": (1024, 4096), "reg": 4, "pos_embed": (1, 256, 1024)},
    "midnight": {"ls1": 1536, "fc1": (8192, 1536), "fc2": (1536, 4096), "pos_embed": (1, 257, 1536)},
    "crown": {"ls1": 1024, "fc1": (5472, 1024), "fc2": (1024, 2736), "pos_embed": (1, 197, 1024)},
    "conch-v1.5": {"ls1": 1024, "fc1": (4096, 1024), "fc2": (1024, 4096), "pos_embed": (1, 785, 1024)},
}  # fmt: skip
"""What the published code and configs say of LayerScale, MLP, register tokens and position embeddings, at their own side."""


@pytest.mark.parametrize("name", SHAPES)
def test_names_and_shapes_are_the_published_ones(name):
    tensors = timm_model(shapes_of(name)).state_dict()
    published = SHAPES[name]
    expected = {
        "blocks.0.ls1.gamma": (published["ls1"],) if "ls1" in published else None,
        "blocks.0.mlp.fc1.weight": published["fc1"],
        "blocks.0.mlp.fc2.weight": published["fc2"],
        "reg_token": (1, published["reg"], published["fc1"][1]) if "reg" in published else None,
        "pos_embed": published["pos_embed"],
        "norm.weight": (published["fc1"][1],),
    }
    found = {key: tuple(tensors[key].shape) if key in tensors else None for key in expected}
    assert found == expected


def test_shrunken_recipes_run_for_real():
    small = {"depth": 1, "embed_dim": 48, "num_heads": 2}
    tiles = torch.zeros(1, 3, 64, 64)
    for name in ("virchow2", "uni2-h", "crown", "conch-v1.5"):
        spec = spec_of(name, side_px=64, input_px=RECIPES[name].patch_px * 4)
        spec = BackboneSpec(spec.architecture, 64, {**spec.kwargs, **small}, spec.pooling, spec.input_px)
        backbone = build_backbone(spec).eval()
        with torch.inference_mode():
            assert torch.isfinite(backbone(tiles)).all()


def test_a_licence_is_said_in_one_line_and_random_weights_have_none():
    (line,) = licence_notes("hf-hub:MahmoodLab/UNI2-h")
    assert re.fullmatch(
        r"Encoder UNI2-h: licence of the weights CC-BY-NC-ND-4\.0, which forbids commercial use.*", line
    )
    assert "forbids" not in licence_notes("crown", "/folder/CROWN.pth")[0]
    assert licence_notes("uni2-h", "scratch") == licence_notes("resnet18", "pretrained") == []


def test_every_fact_has_a_source_and_no_two_recipes_share_a_repository():
    hubs = [recipe.hub.lower() for recipe in RECIPES.values() if recipe.hub]
    assert len(hubs) == len(set(hubs))
    for recipe in RECIPES.values():
        assert recipe.sources, recipe.name
        assert recipe.page.startswith("https://")
        assert ("NC" in recipe.licence or "non-commercial" in recipe.licence) == recipe.non_commercial
        assert recipe_of(f"hf-hub:{recipe.hub}") is recipe


def test_another_side_or_scale_is_said_in_one_line():
    assert resolve_backbone("uni", 224).scale_notes(0.5) == []
    (side, scale) = resolve_backbone("uni", 256).scale_notes(0.25)
    assert side == "uni: published with tiles of 224 px; its position embeddings are resampled to 256 px."
    assert scale == "uni: published at 0.5 µm/px; here it sees tiles at 0.25 µm/px."

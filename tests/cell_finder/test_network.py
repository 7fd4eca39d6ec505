import numpy as np
import pytest
import torch

from inkdot.cell_finder.backends import load_backend
from inkdot.cell_finder.finder import CellFinder, load_cell_finder
from inkdot.cell_finder.finder_files import SHIPPED, FinderFile, read_finder, write_finder
from inkdot.cell_finder.network import CellFinderNetwork
from inkdot.errors import StorageError
from inkdot.model.runtimes.openvino_backend import openvino_installed

WIDTHS = (4, 6, 8, 10)


@pytest.fixture
def network() -> CellFinderNetwork:
    torch.manual_seed(3)
    made = CellFinderNetwork(WIDTHS).to(memory_format=torch.channels_last)
    for _ in range(3):  # so that the batch normalisation has something to fold
        made(torch.rand(2, 3, 64, 64))
    return made.eval()


@pytest.fixture
def folder(tmp_path, network):
    description = FinderFile(
        weights_sha256="",
        widths=WIDTHS,
        centre_threshold=0.3,
        nucleus_threshold=0.5,
        stains=["pap"],
        trained_on=["nothing"],
    )
    weights = {
        name: values.numpy() for name, values in network.state_dict().items() if values.dtype == torch.float32
    }
    write_finder(tmp_path, description, weights, "# A card\n")
    return tmp_path


@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_both_runtimes_compute_what_the_network_does(folder, network, size, monkeypatch):
    steps = np.random.default_rng(0).integers(0, 200, (*size, 3), np.uint8)
    with torch.inference_mode():
        od = torch.from_numpy(steps.astype(np.float32) * 0.01).permute(2, 0, 1)[None]
        expected = torch.sigmoid(network(od))[0].numpy()
    by_torch = load_backend(*read_finder(folder), device="cpu") if not openvino_installed() else None
    if by_torch is None:
        by_openvino = load_backend(*read_finder(folder), device="cpu")
        assert np.abs(by_openvino(steps) - expected).max() < 1e-5
        monkeypatch.setattr("inkdot.cell_finder.backends.openvino_installed", lambda: False)
        by_torch = load_backend(*read_finder(folder), device="cpu")
    assert np.abs(by_torch(steps) - expected).max() < 1e-5


def test_weights_survive_the_file_in_any_memory_order(folder, network):
    _, weights = read_finder(folder)
    for name, values in network.state_dict().items():
        if name in weights:
            assert np.array_equal(weights[name], values.numpy())


def test_a_changed_weights_file_is_refused(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0\0")
    with pytest.raises(StorageError, match="expected the weights that"):
        read_finder(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "found no finder.json"),
        ("{", "expected JSON"),
        ("[]", "expected a JSON object, found list"),
        ('{"version": 9}', "expected version 1, found 9"),
        ('{"version": 1}', "weights_sha256"),
    ],
)
def test_a_wrong_description_is_named_in_one_line(tmp_path, text, message):
    if text is not None:
        (tmp_path / "finder.json").write_text(text, encoding="utf-8")
    with pytest.raises(StorageError, match=message) as caught:
        load_cell_finder(tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused(folder, tmp_path_factory):
    description, weights = read_finder(folder)
    other = tmp_path_factory.mktemp("other")
    del weights["up3.0.weight"]
    write_finder(other, description, weights, "")
    with pytest.raises(StorageError, match="expected the tensors of a network"):
        load_cell_finder(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("nan", "found values in down2.0.weight that are not finite"),
        ("cut", "found down2.1.bias of shape"),
        ("widths", "expected the tensors of a network of widths"),
    ],
)
def test_weights_that_a_runtime_would_take_and_that_mean_nothing_are_refused(
    folder, tmp_path_factory, change, message
):
    description, weights = read_finder(folder)
    if change == "nan":
        weights["down2.0.weight"][0, 0, 0, 0] = np.nan
    elif change == "cut":
        weights["down2.1.bias"] = weights["down2.1.bias"][:1]  # broadcasts
    else:
        description = description.model_copy(update={"widths": (1, 2, 3, 4)})
    other = tmp_path_factory.mktemp("other")
    write_finder(other, description, weights, "")
    with pytest.raises(StorageError, match=message) as caught:
        load_cell_finder(other)
    assert "\n" not in str(caught.value)


def test_fields_of_any_size_have_labels_of_half_their_size(folder):
    finder = CellFinder(read_finder(folder)[0], load_backend(*read_finder(folder)))
    for height, width in ((1, 1), (33, 50), (64, 17)):
        cells = finder.find(np.zeros((height, width, 3), np.uint8), factor=2)
        assert cells.labels.shape == ((height + 1) // 2 * 2, (width + 1) // 2 * 2)
        assert len(cells.scores) == 0


def test_the_shipped_cell_finder_has_a_card_and_is_small():
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 2_000_000
    card = (SHIPPED / "card.md").read_text(encoding="utf-8")
    assert "pathologyatlas, MIT" in card

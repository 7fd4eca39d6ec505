"""A converted network is used only where it is the user's own and made from all that shapes the network now."""

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from inkdot.model.model_folder import save_model
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.model.predictor import Predictor
from inkdot.model.runtimes.network_cache import (
    conversion_facts,
    find_conversion,
    not_private,
    store_conversion,
    user_cache,
)
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import ModelLayout
from inkdot.storage.models.model_files import read_model_file

openvino = pytest.importorskip("openvino")
DEMO = Path(__file__).parents[2] / "models" / "demo"
SIDE = 32
BOUND = 1e-3
pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INKDOT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "networks"


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random network whose scores are all over 0 to 1, described as the demo model is."""
    described = read_model_file(DEMO)
    torch.manual_seed(4)
    network = TileNetwork(NetworkSpec("test_efficientnet", 0.0, described.head_records, SIDE)).eval()
    with torch.no_grad():
        for head in network.heads.values():
            head.weight.mul_(200)
    update = {
        "backbone": "test_efficientnet",
        "backbone_kwargs": {},
        "encoder": "",
        "dropout": 0.0,
        "ood": None,
        "normalisation_mean": list(network.spec.normalisation_mean),
        "normalisation_std": list(network.spec.normalisation_std),
        "tiling": described.tiling.model_copy(update={"side_px": SIDE, "stride_px": SIDE}),
    }
    folder = tmp_path_factory.mktemp("small") / "model"
    save_model(folder, network, described.model_copy(update=update))
    return folder


@pytest.fixture
def model(small_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_model, tmp_path / "model"))


@pytest.fixture(scope="module")
def tiles() -> list[np.ndarray]:
    generator = np.random.default_rng(5)
    flat = generator.integers(0, 256, (12, 1, 1, 3))
    noise = generator.normal(0, 30, (12, SIDE, SIDE, 3))
    return list(np.clip(flat + noise, 0, 255).astype(np.uint8))


def scores(model: Path, tiles: list[np.ndarray], runtime: str) -> np.ndarray:
    return Predictor(model, device="cpu", runtime=runtime).predict_proba(tiles)


def change_normalisation(model: Path) -> None:
    path = ModelLayout(model).description
    values = json.loads(path.read_text(encoding="utf-8"))
    values["normalisation_mean"] = [0.3, 0.4, 0.5]
    values.pop("reference_scores", None)  # as in a model that has none, whose changes nothing else would show
    path.write_text(json.dumps(values), encoding="utf-8")


def plant(folder: Path, stem: str, xml: Path) -> None:
    """A conversion of another network, under the name and with the hashes that earlier versions looked for."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in (".xml", ".bin"):
        shutil.copyfile(xml.with_suffix(suffix), folder / f"{stem}{suffix}")
    hashes = f"{file_sha256(xml)} {file_sha256(xml.with_suffix('.bin'))}\n"
    (folder / f"{stem}.sha256").write_text(hashes)


@pytest.mark.slow
def test_an_edited_normalisation_is_converted_anew(model: Path, tiles: list[np.ndarray]) -> None:
    before = scores(model, tiles, "openvino")
    change_normalisation(model)
    expected = scores(model, tiles, "torch")
    assert np.abs(expected - before).max() > 0.05  # else the same network would do
    assert np.abs(scores(model, tiles, "openvino") - expected).max() < BOUND


@pytest.mark.slow
def test_nothing_planted_in_shared_folders_is_used(
    model: Path, tiles: list[np.ndarray], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    other = Path(shutil.copytree(model, tmp_path / "other"))
    change_normalisation(other)
    scores(other, tiles, "openvino")
    (xml,) = [*cache.glob("*/network.xml")] or [*other.glob("openvino/*.xml")]
    stem = f"{read_model_file(model).weights_sha256[:16]}-16-{openvino.__version__.split('-')[0]}-form2"
    for folder in (shared / "inkdot-openvino", model / "openvino"):
        plant(folder, stem, xml)
    found = scores(model, tiles, "openvino")
    assert sorted(path.name for path in model.iterdir()) == ["model.json", "openvino", "weights.safetensors"]
    assert np.abs(found - scores(model, tiles, "torch")).max() < BOUND


def test_the_cache_is_private(cache: Path) -> None:
    earlier = os.umask(0o002)
    try:
        kept("own")
    finally:
        os.umask(earlier)
    (folder,) = cache.iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (cache.parent, cache, folder)] == [0o700] * 3
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "network.bin": 0o600, "network.json": 0o600, "network.xml": 0o600,
    }  # fmt: skip


def kept(name: str) -> tuple[dict[str, str], Path]:
    """Facts and folder of a conversion; what its file holds does not matter here."""

    def save(path: Path) -> None:
        path.write_text(f"graph of {name}")
        path.with_suffix(".bin").write_text(f"weights of {name}")

    facts = conversion_facts(name, batch_size=16)
    xml = store_conversion(facts, save)
    assert xml is not None
    assert xml.read_text() == f"graph of {name}"
    assert find_conversion(facts) == xml
    return facts, xml.parent


def put_in_place_of(own: Path, other: Path) -> None:
    """Another network's files, in this one's folder."""
    for name in ("network.xml", "network.bin"):
        shutil.copyfile(other / name, own / name)


def with_own_hashes(own: Path, other: Path) -> None:
    """The same with hashes that match, and the facts of the other network."""
    put_in_place_of(own, other)
    shutil.copyfile(other / "network.json", own / "network.json")


def by_link(own: Path, other: Path) -> None:
    shutil.rmtree(own)
    own.symlink_to(other)


def by_links_of_files(own: Path, other: Path) -> None:
    for path in own.iterdir():
        moved = path.rename(other.parent / f"moved-{path.name}")
        path.symlink_to(moved)


def writable_by_others(own: Path, other: Path) -> None:
    """All that is compared matches, but it is others who may have written it."""
    put_in_place_of(own, other)
    facts = json.loads((own / "network.json").read_text())
    facts |= {f"{name}_sha256": file_sha256(own / name) for name in ("network.xml", "network.bin")}
    (own / "network.json").write_text(json.dumps(facts))
    (own / "network.xml").chmod(0o666)


def deep_json(own: Path, other: Path) -> None:
    (own / "network.json").write_text("[" * 50_000)


def in_a_folder_that_others_can_write(own: Path, other: Path) -> None:
    own.chmod(0o777)


@pytest.mark.parametrize(
    "attack",
    [
        put_in_place_of,
        with_own_hashes,
        by_link,
        by_links_of_files,
        writable_by_others,
        deep_json,
        in_a_folder_that_others_can_write,
    ],
)
def test_more_than_the_name_is_needed(attack: Callable[[Path, Path], None]) -> None:
    facts, own = kept("own")
    _, other = kept("other")
    attack(own, other)
    assert find_conversion(facts) is None
    again, folder = kept("own")  # made again, whatever lies there
    assert (again, folder) == (facts, own)
    assert not own.is_symlink()
    assert stat.S_IMODE(own.stat().st_mode) == 0o700


def test_each_fact_makes_a_conversion_of_its_own() -> None:
    made = [
        conversion_facts("a", batch_size=16, side_px=256),
        conversion_facts("b", batch_size=16, side_px=256),
        conversion_facts("a", batch_size=8, side_px=256),
        conversion_facts("a", batch_size=16, side_px=128),
    ]
    assert len({json.dumps(facts, sort_keys=True) for facts in made}) == 4
    assert {"openvino", "torch", "timm", "inkdot"} <= made[0].keys()
    assert "none" not in made[0].values()


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_cache_that_others_can_write_is_not_used(cache: Path, mode: int) -> None:
    facts, _ = kept("own")
    for folder in (cache, cache.parent):
        folder.chmod(mode)
        found = user_cache()
        assert found.folder is None
        assert f"found mode {mode:o}; chmod 700 it" in found.reason
        assert find_conversion(facts) is None
        assert store_conversion(facts, lambda path: path.touch()) is None
        folder.chmod(0o700)
    assert find_conversion(facts) is not None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_of_another_user_is_not_used(cache: Path) -> None:
    cache.mkdir(parents=True, mode=0o700)
    os.chown(cache, 12345, -1)
    assert "expected your own, found that of user 12345" in user_cache().reason
    assert "12345" in not_private(cache)


@pytest.mark.slow
def test_without_a_cache_networks_are_converted_in_memory(
    model: Path, tiles: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = scores(model, tiles, "openvino")
    file = tmp_path / "file"
    file.write_text("a file where the folder would be: nobody can write into it, root neither")
    monkeypatch.setenv("INKDOT_CACHE_DIR", str(file))
    assert user_cache().folder is None
    assert scores(model, tiles, "openvino").tobytes() == expected.tobytes()
    monkeypatch.setattr(tempfile, "tempdir", str(file))  # nothing at all can be written
    assert np.abs(scores(model, tiles, "openvino") - expected).max() < BOUND


def test_the_users_cache_is_where_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INKDOT_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    if os.name == "posix" and os.uname().sysname == "Linux":
        assert user_cache().folder == tmp_path / "home" / "inkdot" / "networks"

"""`inkdot embed` as a command: cost beforehand, resuming, other programs' files, and what it refuses."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from inkdot.config import Config, config_from_mapping
from inkdot.errors import UserError
from inkdot.manifest import read_slides
from inkdot.model.frozen_encoder import EncoderSource, FrozenEncoder
from inkdot.pipeline.batch_settings import BatchSettings
from inkdot.pipeline.scoring.embed_slide import load_encoder_once
from inkdot.pipeline.scoring.embedding_cost import readable_seconds
from inkdot.stages import embed, tile
from inkdot.storage.embeddings.slide_embeddings import read_embeddings, read_embeddings_metadata
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import read as read_ledger
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.parquet_tables import read_table

SIDE = 64
TILING: dict[str, Any] = {
    "mode": "grid", "side_px": SIDE, "mpp": 0.5, "stride_px": SIDE, "adequacy": {"min_nuclei": 0}
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_encoder_of_an_earlier_test() -> Iterator[None]:
    load_encoder_once.cache_clear()
    yield
    load_encoder_once.cache_clear()


@pytest.fixture(scope="module")
def weights(untrained_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_model(tmp_path_factory.mktemp("encoder") / "model") / "weights.safetensors"


@pytest.fixture
def slides(dotted_slide: Callable[..., Path], tmp_path: Path) -> Path:
    for seed in range(3):
        dotted_slide(tmp_path / "slides" / f"s{seed}.tif", seed=seed)
    return tmp_path / "slides"


@pytest.fixture
def config(weights: Path) -> Config:
    return config_from_mapping(
        {
            "tiling": TILING,
            "model": {"backbone": "test_resnet", "weights": str(weights), "precision": "float32"},
        }
    )


def outcomes(layout: RunLayout, stage: str) -> list[str]:
    return [line.outcome for line in read_ledger(layout.ledger) if line.stage == stage]


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in found
        if path.name not in ("ledger.jsonl", ".inkdot.lock")
    }


def test_the_cost_is_printed_before_and_holds(
    slides: Path, config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = RunLayout(tmp_path / "run")
    assert embed.run(slides, out.root, embed.EmbedSettings(config, runtime="torch")) == 0
    shown = " ".join(capsys.readouterr().err.split())
    cost = re.search(
        r"encoder test_resnet \(torch, float32\): [\d,.]+ tiles/s; ([\d,]+) tiles of 3 slides: about \d+ s, (\d+) kB",
        shown,
    )
    assert cost is not None, shown
    assert shown.index("encoder test_resnet") < shown.index("embed: 3 done")
    rows = [len(read_embeddings(out, f"s{index}").values) for index in range(3)]
    assert int(cost[1].replace(",", "")) == sum(rows) > 100
    size = sum(out.embeddings(f"s{index}").stat().st_size for index in range(3))
    assert size / 1000 == pytest.approx(int(cost[2]), rel=0.15)
    assert Config.model_validate_json(out.config_json.read_text()) == config
    # A rerun has no cost.
    assert embed.run(slides, out.root, embed.EmbedSettings(runtime="torch")) == 0
    assert "tiles/s" not in capsys.readouterr().err
    assert outcomes(out, "embed")[-3:] == ["reused"] * 3


def test_dry_run_names_each_slide_and_the_cost_and_writes_nothing(
    slides: Path, config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, dry = RunLayout(tmp_path / "run"), BatchSettings(dry_run=True)
    settings = embed.EmbedSettings(config, runtime="torch")
    assert embed.run(slides, out.root, settings, dry) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count("tile and embed") == 3
    assert "3 slides have no tiles yet and are not counted; `inkdot tile` makes them" in shown
    assert not out.root.exists()
    assert tile.run(slides, config, out.root) == 0
    count = read_table(out.tiles("s0"), TILES_VERSION)[0].num_rows
    assert embed.run(slides, out.root, settings, dry) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"embed {count} tiles" in shown
    assert "tiles of 3 slides: about" in shown
    assert not out.embeddings("s0").exists()
    (slides / "s1.tif").write_bytes(b"no slide")
    assert embed.run(slides, out.root, settings, dry) == 1
    assert "fail: " in capsys.readouterr().out


def test_a_run_that_is_stopped_resumes_after_the_last_complete_slide(
    slides: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, settings = RunLayout(tmp_path / "run"), embed.EmbedSettings(config, runtime="torch")
    assert embed.run(slides, tmp_path / "undisturbed", settings) == 0
    features, embedded = FrozenEncoder.features, []

    def stopped(self: FrozenEncoder, tiles: Any) -> Iterator[Any]:
        for index, batch in enumerate(features(self, tiles)):
            if embedded == ["s0"] and index == 1:
                raise KeyboardInterrupt
            yield batch

    write = embed.EmbedTask.__call__

    def counted(self: embed.EmbedTask, entry: Any) -> Any:
        outcome = write(self, entry)
        embedded.append(entry.slide_id)
        return outcome

    with monkeypatch.context() as patched:
        patched.setattr(FrozenEncoder, "features", stopped)
        patched.setattr(embed.EmbedTask, "__call__", counted)
        with pytest.raises(KeyboardInterrupt):
            embed.run(slides, out.root, settings)
    assert [path.name for path in out.embeddings("s0").parent.iterdir()] == ["s0.h5"]
    assert embed.run(slides, out.root, settings) == 0
    assert outcomes(out, "embed") == ["done", "reused", "done", "done"]
    assert files(out.root) == files(tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_killed_run_resumes_to_the_same_bytes(
    slides: Path, config: Config, weights: Path, tmp_path: Path
) -> None:
    out = RunLayout(tmp_path / "run")
    assert tile.run(slides, config, out.root) == 0
    words = ["embed", str(slides), "--out", str(out.root), "--runtime", "torch", "--slide-timeout", "0"]
    process = subprocess.Popen([sys.executable, "-m", "inkdot", *words], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not out.embeddings("s0").exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert embed.run(slides, out.root, embed.EmbedSettings(runtime="torch")) == 0
    assert outcomes(out, "embed")[-3] == "reused"
    undisturbed = tmp_path / "undisturbed"
    assert tile.run(slides, config, undisturbed) == 0
    assert embed.run(slides, undisturbed, embed.EmbedSettings(runtime="torch")) == 0
    assert files(out.root / "embeddings") == files(undisturbed / "embeddings")


def test_retry_takes_what_is_missing_and_keeps_the_whole_list(
    slides: Path, config: Config, tmp_path: Path
) -> None:
    out, settings = RunLayout(tmp_path / "run"), embed.EmbedSettings(config, runtime="torch")
    good = (slides / "s1.tif").read_bytes()
    (slides / "s1.tif").write_bytes(good[: len(good) // 3])
    assert embed.run(slides, out.root, settings) == 1
    assert not out.embeddings("s1").exists()
    (slides / "s1.tif").write_bytes(good)
    assert embed.run(slides, out.root, settings, BatchSettings(retry_failed=True)) == 0
    assert outcomes(out, "embed") == ["done", "done", "done"]  # s0, s2, then s1 alone
    assert len(read_slides(out.slides_csv, config.head_records)) == 3


@pytest.mark.parametrize("format_", ["trident", "clam", "stamp"])
def test_files_of_other_programs_go_out_and_come_back(
    slides: Path, config: Config, tmp_path: Path, format_: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    out, back = RunLayout(tmp_path / "run"), RunLayout(tmp_path / "back")
    assert embed.run(slides, out.root, embed.EmbedSettings(config, runtime="torch", format_=format_)) == 0
    exported = out.exported_embeddings(format_, "test_resnet", "s0")
    assert exported.exists()
    settings = embed.EmbedSettings(from_features=exported.parent, encoder="named")
    assert embed.run(slides, back.root, settings) == 0
    for slide_id in ("s0", "s1", "s2"):
        own, foreign = read_embeddings(out, slide_id), read_embeddings(back, slide_id)
        np.testing.assert_array_equal(foreign.values, own.values)
        np.testing.assert_array_equal(foreign.coords, own.coords)
        assert foreign.metadata["tile_spec"] == pytest.approx(own.metadata["tile_spec"])
        assert (foreign.metadata["encoder"], foreign.metadata["format"]) == ("named", format_)
        # A name is no proof of what made the numbers.
        assert foreign.metadata["encoder_sha256"] != own.metadata["encoder_sha256"]
        assert foreign.metadata["tiles_sha256"] is None
    assert embed.run(slides, back.root, settings) == 0
    assert outcomes(back, "import")[-3:] == ["reused"] * 3
    exported.unlink()
    assert embed.run(slides, back.root, settings, BatchSettings(dry_run=True)) == 1
    assert "fail: " in capsys.readouterr().out
    assert embed.run(slides, back.root, settings) == 1
    reasons = [line.reason for line in read_ledger(back.ledger) if line.outcome == "failed"]
    assert [reason.startswith(f"{exported.parent}: expected s0.h5") for reason in reasons] == [True]


def test_files_named_by_the_slide_file_are_found(slides: Path, config: Config, tmp_path: Path) -> None:
    """TRIDENT and CLAM name features by the slide file, which may differ from the slide_id."""
    folder = tmp_path / "features"
    folder.mkdir()
    for index in range(3):
        with h5py.File(folder / f"s{index}.h5", "w") as file:
            file["features"] = np.ones((2, 4), np.float32)
            file["coords"] = np.array([[0, 0], [64, 64]])
    table = tmp_path / "slides.csv"
    table.write_text("slide_id,path\n" + "".join(f"case-{i},slides/s{i}.tif\n" for i in range(3)))
    out = RunLayout(tmp_path / "run")
    settings = embed.EmbedSettings(config, from_features=folder, encoder="uni")
    assert embed.run(table, out.root, settings) == 0
    assert read_embeddings_metadata(out, "case-1")["tile_spec"]["side_px"] == SIDE


def test_encoders_by_name_and_file_have_the_hash_of_the_model_that_holds_them(
    slides: Path, config: Config, weights: Path, tmp_path: Path
) -> None:
    """A model trained on embeddings must be able to use those of the file it started from."""
    named = embed.EmbedSettings(config, encoder="test_resnet", weights=str(weights), runtime="torch")
    assert embed.run(slides / "s0.tif", tmp_path / "named", named) == 0
    found = read_embeddings_metadata(RunLayout(tmp_path / "named"), "s0")["encoder_sha256"]
    assert found == FrozenEncoder(EncoderSource("test_resnet", str(weights), SIDE), runtime="torch").sha256


def test_what_cannot_be_is_refused_before_anything_is_written(
    slides: Path, config: Config, weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    refused: list[tuple[embed.EmbedSettings, str]] = [
        (
            embed.EmbedSettings(),
            r"expected a folder that `inkdot tile` made, found no config\.json; give --config or --model",
        ),
        (embed.EmbedSettings(config, model=weights.parent), "expected either --model, or --config"),
        (embed.EmbedSettings(model=tmp_path), "expected a model folder"),
        (embed.EmbedSettings(config, encoder="resnet999", weights=str(weights)), "resnet999"),
        (
            embed.EmbedSettings(config, encoder="resnet18", weights=str(weights)),
            "expected the weights of resnet18",
        ),
        (embed.EmbedSettings(config, weights="scratch"), "found scratch, whose embeddings mean nothing"),
        (embed.EmbedSettings(from_features=tmp_path / "none"), "--from-features: expected a folder of"),
    ]
    for settings, message in refused:
        with pytest.raises(UserError, match=message):
            embed.run(slides, out, settings)
    assert not out.exists()


def test_embeddings_that_float16_cannot_hold_fail_their_slide_by_name(
    slides: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = FrozenEncoder.features
    monkeypatch.setattr(
        FrozenEncoder, "features", lambda self, tiles: (1e6 * b for b in features(self, tiles))
    )
    out = RunLayout(tmp_path / "run")
    assert embed.run(slides / "s0.tif", out.root, embed.EmbedSettings(config, runtime="torch")) == 1
    reason = next(line.reason for line in read_ledger(out.ledger) if line.outcome == "failed")
    assert re.search(r"s0\.h5, row \d+: expected embeddings up to 65504, .* --dtype float32", reason)
    assert not out.embeddings("s0").exists()
    settings = embed.EmbedSettings(config, runtime="torch", dtype="float32")
    assert embed.run(slides / "s0.tif", out.root, settings) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (59, "59 s"), (61, "1 min"), (3600 * 2 + 310, "2 h 5 min"), (200_000, "2 d 7 h")],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert readable_seconds(seconds) == text

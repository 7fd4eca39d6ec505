"""What laboratories feed in, wrong: one clear line, the right exit code, and nothing half-written left."""

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from inkdot.config import HeadConfig, TilingConfig
from inkdot.labels import DEFAULT_HEADS
from inkdot.records import Mpp, RgbArray
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.storage.models.model_files import ModelFile, write_model_file
from inkdot.storage.models.model_records import TrainedOn
from inkdot.units import MicrometresPerPixel

Inkdot = Callable[..., None]

CONFIG = "tiling: {mode: grid, side_px: 64, mpp: 0.5, stride_px: 64}\n"
QUARTER = Mpp.square(0.25)
LABELS = "slide_id,geometry,head,label,reader,source\n"
REGION = '"POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0))"'


def cells() -> RgbArray:
    """Glass with some dark blue cells."""
    rgb = np.full((900, 1100, 3), 238, np.uint8)
    y, x = np.mgrid[:900, :1100]
    for cx, cy in np.random.default_rng(0).integers(100, 800, (12, 2)):
        rgb[(x - cx) ** 2 + (y - cy) ** 2 < 18**2] = (70, 60, 130)
    return rgb


def slide(path: Path, mpp: Mpp | None = QUARTER, rgb: RgbArray | None = None) -> None:
    write_array_pyramid(path, cells() if rgb is None else rgb, mpp=mpp, downsamples=(1, 4))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def png_claiming(width: int, height: int) -> bytes:
    """The beginning of a PNG whose header claims a size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 1_000_000)
    chunks = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def partial_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if ".partial" in path.name]


# ---- exit code 2: nothing was done


@pytest.mark.parametrize(
    ("manifest", "labels", "message"),
    [
        ("slide_id,path\na,a.tif\na,b.tif\n", "", "expected unique slide_id"),
        ("slide_id;path\na;a.tif\n", "", "found semicolons; save it with commas"),
        ("slide_id,path,malignancy\na,a.tif,cancer\n", "", "line 2: column malignancy: expected malignant, benign"),
        ("slide_id,path,mpp\na,a.tif,forty\n", "", "line 2: column mpp: expected micrometres per pixel"),
        ("slide_id,path,patient_id,specimen_id\na,a.tif,P,S\nb,b.tif,Q,S\n", "", "expected one value for specimen 'S'"),
        ("slide_id,path,annotation\na,a.tif,labels.csv\n", f"{LABELS}a,{REGION},ploidy,x,r,s\n", "csv: line 2: column head"),
        ("slide_id,path,annotation\na,a.tif,labels.csv\n", f"{LABELS}a,{REGION},malignancy,x,r,s\n", "column label"),
        ("slide_id,path,annotation\na,a.tif,gone.csv\n", "", "gone.csv: expected a table, found nothing there"),
        ("slide_id,path\n", "", "found only the header"),
    ],
)  # fmt: skip
def test_wrong_tables(
    tmp_path: Path, config: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str], manifest: str, labels: str, message: str
) -> None:  # fmt: skip
    slide(tmp_path / "a.tif")
    slide(tmp_path / "b.tif")
    (tmp_path / "slides.csv").write_text(manifest)
    (tmp_path / "labels.csv").write_text(labels)
    inkdot("tile", tmp_path / "slides.csv", "--config", config, "--out", tmp_path / "run", code=2)
    assert message in one_line(capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["tile", "train"])  # `evaluate` skips rows of heads that its model lacks
def test_labels_of_unknown_heads_are_refused_where_they_train(
    tmp_path: Path, config: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    slides, out = tmp_path / "slides.csv", tmp_path / "run"
    slides.write_text("slide_id,path,annotation\na,a.tif,labels.csv\n")
    (tmp_path / "labels.csv").write_text(f"{LABELS}a,{REGION},ploidy,x,r,s\n")
    named = ("--slides", slides) if command == "train" else (slides,)
    inkdot(command, *named, "--config", config, "--out", out, code=2)
    assert "labels.csv: line 2: column head: expected malignancy, morphology" in one_line(capsys)
    assert not out.exists()


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (
            "slide_id,path,patient_id,malignancy,split\na,a.tif,P,benign,train\nb,b.tif,P,benign,test\n",
            "line 3: column split: expected one value for patient 'P', found 'test' here and 'train' in line 2",
        ),
        ("slide_id,path\na,a.tif\na,b.tif\n", "expected unique slide_id"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["tile", "train", "evaluate"])
def test_wrong_tables_are_refused_alike_by_every_command_that_reads_answers(
    tmp_path: Path,
    config: Path,
    repository: Path,
    inkdot: Inkdot,
    capsys: pytest.CaptureFixture[str],
    command: str,
    manifest: str,
    message: str,
) -> None:
    (tmp_path / "slides.csv").write_text(manifest)
    (tmp_path / "labels.csv").write_text(f"{LABELS}a,{REGION},ploidy,x,r,s\n")
    slides, out = tmp_path / "slides.csv", tmp_path / "run"
    arguments: dict[str, tuple[object, ...]] = {
        "tile": (slides, "--config", config),
        "train": ("--slides", slides, "--config", config),
        "evaluate": ("--slides", slides, "--model", repository / "models" / "demo"),
    }
    inkdot(command, *arguments[command], "--out", out, code=2)
    assert message in one_line(capsys)
    assert not out.exists()


def test_a_synthetic_model_is_not_judged_on_real_slides_unless_told(
    tmp_path: Path, repository: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    slide(tmp_path / "a.tif")
    (tmp_path / "slides.csv").write_text("slide_id,path,malignancy\na,a.tif,benign\n")
    model, out = repository / "models" / "demo", tmp_path / "out"
    inkdot("evaluate", "--model", model, "--slides", tmp_path / "slides.csv", "--out", out, code=2)
    assert "a: expected a synthetic slide" in one_line(capsys)
    assert not out.exists()


@pytest.mark.parametrize("given", [(), ("--slides", "s.csv", "--images", "i.csv")])
def test_evaluate_wants_slides_or_images(
    tmp_path: Path, repository: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str], given: tuple[str, ...]
) -> None:  # fmt: skip
    inkdot("evaluate", "--model", repository / "models" / "demo", "--out", tmp_path / "out", *given, code=2)
    assert f"expected either --slides or --images, found {'both' if given else 'neither'}" in one_line(capsys)


def test_a_config_of_other_questions_is_not_the_models(
    tmp_path: Path, repository: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.yaml").write_text("heads:\n  - {name: lesion, classes: [A, B], flag_class: B}\n")
    (tmp_path / "slides.csv").write_text("slide_id,path,malignancy\na,a.tif,benign\n")
    arguments = ("--model", repository / "models" / "demo", "--slides", tmp_path / "slides.csv")
    arguments = (*arguments, "--config", tmp_path / "other.yaml", "--out", tmp_path / "out")
    inkdot("evaluate", *arguments, code=2)
    assert "--config: expected the heads of the model, malignancy, morphology, found lesion" in one_line(
        capsys
    )
    assert not (tmp_path / "out").exists()


def test_a_region_for_a_config_that_takes_no_files(
    inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    if Path("/proc/self").exists():
        inkdot("init", "--out", "/proc/self/config.yaml", code=2)
        assert "expected a writable file" in one_line(capsys)


def test_tables_in_other_encodings(
    tmp_path: Path, config: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slides.csv").write_bytes("slide_id,path\nPräparat,a.tif\n".encode("latin-1"))
    inkdot("tile", tmp_path / "slides.csv", "--config", config, "--out", tmp_path / "run", code=2)
    assert "expected UTF-8" in one_line(capsys)


def test_no_slides_at_all(
    tmp_path: Path, config: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    for source, message in (("gone", "found nothing there"), ("empty", "expected slide files, found none")):
        inkdot("tile", tmp_path / source, "--config", config, "--out", tmp_path / "run", code=2)
        assert message in one_line(capsys)
        assert not (tmp_path / "run").exists()


def test_an_output_folder_that_cannot_be_one(
    tmp_path: Path, config: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    slide(tmp_path / "a.tif")
    (tmp_path / "file").write_text("in the way")
    inkdot("tile", tmp_path / "a.tif", "--config", config, "--out", tmp_path / "file", code=2)
    assert "expected a folder that can be written" in one_line(capsys)
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder here that even root may not write to")
def test_a_read_only_output_folder(
    tmp_path: Path, config: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    slide(tmp_path / "a.tif")
    inkdot("tile", tmp_path / "a.tif", "--config", config, "--out", "/proc/self/inkdot", code=2)
    assert "expected a folder that can be written" in one_line(capsys)


def test_an_output_folder_in_use(
    tmp_path: Path, config: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    slide(tmp_path / "a.tif")
    hold = (
        "import sys; from pathlib import Path; from inkdot.storage.layout import RunLayout\n"
        "from inkdot.storage.locking import locked\n"
        "with locked(RunLayout(Path(sys.argv[1])).lock): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        inkdot("tile", tmp_path / "a.tif", "--config", config, "--out", tmp_path / "run", code=2)
        holder.kill()
    assert "found another inkdot working in it" in one_line(capsys)


def test_weights_of_another_model(tmp_path: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights.safetensors").write_bytes(b"of another")
    trained_on = TrainedOn(
        synthetic=True, slides=1, patients=1, tiles_per_class={}, preparations=[], stains=[], sites=0, scanners=0
    )  # fmt: skip
    description = ModelFile(
        inkdot="0",
        backbone="test_resnet",
        dropout=0.0,
        preparation="thinprep",
        heads=[HeadConfig.from_head(head) for head in DEFAULT_HEADS],
        tiling=TilingConfig(),
        normalisation_mean=[0.5] * 3,
        normalisation_std=[0.5] * 3,
        temperatures={},
        operating_points={},
        validation_metrics={},
        trained_on=trained_on,
        config_sha256="0" * 64,
        weights_sha256="0" * 64,
    )
    write_model_file(model, description)
    slide(tmp_path / "a.tif")
    inkdot("predict", tmp_path / "a.tif", "--model", model, "--out", tmp_path / "results", code=2)
    assert "expected the weights that model.json describes, found others" in one_line(capsys)
    assert not (tmp_path / "results").exists()


# ---- exit code 1: the others go on


def test_bad_slides_are_named_and_the_good_ones_done(
    tmp_path: Path, config: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "300")
    slides = tmp_path / "my slides"
    slides.mkdir()
    slide(slides / "Präparat №1 スライド.tif")
    slide(slides / "nompp.tif", None)
    slide(slides / "implausible.tif", Mpp.square(16.8))
    slide(slides / "oblong.tif", Mpp(MicrometresPerPixel(0.25), MicrometresPerPixel(0.3)))
    slide(slides / "coarse.tif", Mpp.square(0.8))
    slide(slides / "empty glass.tif", rgb=np.full((900, 1100, 3), 240, np.uint8))
    slide(slides / "truncated.tif")
    whole = (slides / "truncated.tif").read_bytes()
    (slides / "truncated.tif").write_bytes(whole[: len(whole) // 2])
    (slides / "zero.svs").write_bytes(b"")
    (slides / "words.svs").write_text("not a slide")
    (slides / "bomb.png").write_bytes(png_claiming(40_000, 40_000))
    names = sorted(path.name for path in slides.iterdir())
    rows = "".join(f"{Path(name).stem},my slides/{name}\n" for name in [*names, "gone.svs"])
    (tmp_path / "slides.csv").write_text("slide_id,path\n" + rows, encoding="utf-8")
    run = tmp_path / "run"
    inkdot("tile", tmp_path / "slides.csv", "--config", config, "--out", run, code=1)
    said = capsys.readouterr().err
    reasons = {
        "nompp": "column `mpp`",
        "implausible": "found 16.8 x 16.8",
        "oblong": "within 5% of each other",
        "coarse": "found 0.8 µm/px",
        "truncated": "damaged",
        "zero": "an empty one (0 bytes)",
        "words": "a kind that no reader opens",
        "bomb": "found too many",
        "gone": "found nothing there",
    }
    for slide_id, reason in reasons.items():
        lines = [line for line in said.splitlines() if slide_id in line and reason in line]
        assert lines, f"{slide_id}: {reason} not in\n{said}"
        assert not (run / "tiles" / f"{slide_id}.parquet").exists()
    assert (run / "tiles" / "Präparat №1 スライド.parquet").is_file()
    assert (run / "masks" / "Präparat №1 スライド.png").is_file()
    assert "Traceback" not in said
    assert partial_files(run) == []


@pytest.mark.parametrize("command", ["tile", "train"])
def test_a_cell_finder_that_is_none_is_one_line_before_any_slide(
    tmp_path: Path, config: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    text = config.read_text(encoding="utf-8")
    (tmp_path / "wrong.yaml").write_text(
        text.replace("tiling: {", "tiling: {cell_finder: Shiped, "), encoding="utf-8"
    )
    names = {"a": "benign", "b": "benign", "c": "malignant", "d": "malignant"}
    for name in names:
        slide(tmp_path / f"{name}.tif")
    rows = "".join(f"{name},{name}.tif,{label}\n" for name, label in names.items())
    (tmp_path / "slides.csv").write_text(f"slide_id,path,malignancy\n{rows}", encoding="utf-8")
    out = tmp_path / "run"
    if command == "tile":
        inkdot("tile", tmp_path / "a.tif", "--config", tmp_path / "wrong.yaml", "--out", out, code=2)
    else:
        words = ("--slides", tmp_path / "slides.csv", "--config", tmp_path / "wrong.yaml", "--out", out)
        inkdot("train", *words, code=2)
    said = capsys.readouterr().err
    assert "expected the folder of a cell finder, found no finder.json" in " ".join(said.split())
    assert not list(out.rglob("*.parquet"))


def test_zero_foreground_is_inadequate_and_said(
    tmp_path: Path, config: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "300")
    slide(tmp_path / "glass.tif", rgb=np.full((900, 1100, 3), 240, np.uint8))
    inkdot("tile", tmp_path / "glass.tif", "--config", config, "--out", tmp_path / "run")
    said = capsys.readouterr().err
    assert "1 of 1 slides are inadequate (glass)" in said
    assert "besides empty glass the slide shows nothing" in said


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits on file size are a matter of POSIX")
def test_a_disk_that_fills_leaves_nothing_half_written(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # the reason on one line, however long the folder's name
    slide(tmp_path / "a.tif")
    small = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "from inkdot.cli import main; main()"
    )
    arguments = ["tile", tmp_path / "a.tif", "--config", config, "--out", tmp_path / "run"]
    done = subprocess.run(
        [sys.executable, "-c", small, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "run").rglob("*.parquet"))
    assert partial_files(tmp_path / "run") == []


# ---- real files


@pytest.mark.real_data
def test_real_slides_in_one_batch(
    real_data: Path, tmp_path: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "config.yaml").write_text("preparation: section\n")
    run, again = tmp_path / "run", tmp_path / "again"
    inkdot("tile", real_data / "slides", "--config", tmp_path / "config.yaml", "--out", run, code=1)
    said = capsys.readouterr().err
    for slide_id, reason in {
        "TCGA-CR-7395": "column `mpp`",
        "oral-scc-he-no-mpp": "column `mpp`",
        "gcp-jpeg": "found 16.78 x 16.78",
        "hamamatsu": "bright-field",
        "small_dicom": "expected readable pixels",
    }.items():
        assert [line for line in said.splitlines() if slide_id in line and reason in line], (slide_id, said)
    assert [path.stem for path in (run / "tiles").glob("*.parquet")] == ["CMU-1-Small-Region"]
    names = ("TCGA-CR-7395-01A-01-TS1.svs", "oral-scc-he-no-mpp.tif", "gcp-jpeg.dcm")
    rows = "".join(f"{Path(name).stem},{real_data / 'slides' / name},0.25\n" for name in names)
    (tmp_path / "slides.csv").write_text("slide_id,path,mpp\n" + rows)
    inkdot("tile", tmp_path / "slides.csv", "--config", tmp_path / "config.yaml", "--out", again)
    assert len(list((again / "tiles").glob("*.parquet"))) == 3
    assert "Traceback" not in said + capsys.readouterr().err

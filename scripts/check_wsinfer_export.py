"""Run WSInfer on an exported model and compare its scores with those of Inkdot, tile by tile.

    python scripts/check_wsinfer_export.py --model models/demo --work /tmp/wsinfer-check

WSInfer (PyPI: wsinfer) gets an environment of its own under --work. It would install a second PyTorch of 5 GB; instead it
is installed without dependencies and uses this environment's packages through a .pth file. Two steps of WSInfer are
replaced: it requests the list of a model hub at import, which is replaced by an empty list; and its foreground detection
finds nothing on sparse cytology, so it gets the tiles of Inkdot in the file that its own first step would write. All
other steps, from reading to softmax, are those of `wsinfer run`.

Prints one JSON line. Ends with 1 where scores on equal pixels differ by more than 0.001.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from contextlib import closing
from pathlib import Path

import numpy as np

from inkdot.labels import flagging_head, score_column
from inkdot.model.export import BOUND
from inkdot.records import SlideEntry
from inkdot.slides import open_slide
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.model_files import read_model_file
from inkdot.storage.tables.scores import read_scores

WITHOUT_DEPENDENCIES = (
    "wsinfer==0.6.1", "wsinfer-zoo>=0.6.2", "zarr<3", "numcodecs<0.16", "openslide-python", "openslide-bin", "h5py", "pandas",
    "python-dateutil", "six", "tqdm", "deprecated", "wrapt", "fasteners", "asciitree",
    "jsonschema", "jsonschema-specifications", "referencing", "rpds-py", "attrs",
)  # fmt: skip

INSIDE = """
import json, sys
import h5py, numpy as np
import wsinfer_zoo.client as client
client.load_registry = lambda *args: client.ModelRegistry({})  # it would ask a hub at import
for path, facts in json.load(open(sys.argv.pop(1))).items():
    with h5py.File(path, "w") as file:
        coords = file.create_dataset("/coords", data=np.array(facts["coords"], np.int64))
        coords.attrs.update(facts["attrs"])
from wsinfer.cli.cli import cli
cli()
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare WSInfer's scores on an exported model with ours.")
    parser.add_argument("--model", type=Path, default=Path("models/demo"))
    parser.add_argument(
        "--work", type=Path, required=True, help="scratch folder; the environment in it is kept"
    )
    parser.add_argument(
        "--tiles", type=int, default=160, help="at most so many tiles of each slide, evenly spread"
    )
    arguments = parser.parse_args()
    work, model = arguments.work.absolute(), arguments.model.absolute()
    python = environment(work / "env")
    description = read_model_file(model)
    head = flagging_head(description.head_records)
    run(
        "inkdot",
        "model",
        "export",
        model,
        "--format",
        "wsinfer",
        "--out",
        work / "export",
        "--allow-synthetic-model",
    )
    line: dict[str, object] = {
        "script": "check_wsinfer_export",
        "wsinfer": "0.6.1",
        "backbone": description.backbone,
    }
    # One slide at the model's own scale, where both see the same pixels, and one that both must shrink.
    for name, mpp in (
        ("same_pixels", description.tiling.mpp),
        ("shrunk_by_each", description.tiling.mpp / 2),
    ):
        ours, theirs = scores(
            work / name, mpp, model, python, work / "export", head.name, head.classes, arguments.tiles
        )
        apart = np.abs(ours - theirs).max(axis=1)
        line[name] = {
            "tiles": len(ours),
            "scores_range": [round(float(ours[:, 1].min()), 3), round(float(ours[:, 1].max()), 3)],
            "largest_difference": float(f"{apart.max():.2g}"),
            "mean_difference": float(f"{apart.mean():.2g}"),
            "correlation": round(float(np.corrcoef(ours[:, 1], theirs[:, 1])[0, 1]), 6),
        }  # fmt: skip
    line["bound_on_same_pixels"] = BOUND
    print(json.dumps(line))
    return 0 if line["same_pixels"]["largest_difference"] <= BOUND else 1


def environment(folder: Path) -> Path:
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        run(sys.executable, "-m", "venv", "--clear", folder)
        run(python, "-m", "pip", "install", "--quiet", "--no-deps", *WITHOUT_DEPENDENCIES)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        shared = folder / "lib" / version / "site-packages" / "shared.pth"
        shared.write_text(sysconfig.get_paths()["purelib"] + "\n")
        (folder / "ready").touch()
    return python


def scores(
    work: Path,
    mpp: float,
    model: Path,
    python: Path,
    export: Path,
    head: str,
    classes: tuple[str, ...],
    most: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Our scores and WSInfer's of the same tiles, each [tiles, classes]."""
    if not (work / "cohort" / "slides.csv").exists():
        run(
            "inkdot",
            "synth",
            "--preset",
            "demo-training",
            "--slides",
            "1",
            "--seed",
            "3",
            "--mpp",
            mpp,
            "--out",
            work / "cohort",
        )
    run("inkdot", "predict", work / "cohort" / "slides.csv", "--model", model, "--out", work / "results")
    (slide,) = (work / "cohort" / "slides").iterdir()
    found = read_scores(RunLayout(work / "results").scores(slide.stem))
    with closing(open_slide(SlideEntry(slide.stem, slide))) as opened:
        side = round(found.spec.side_um / opened.info.mpp.x)
        width, height = opened.info.size_l0_px
    corners = np.stack([found.table.column(name).to_numpy() for name in ("x_l0_px", "y_l0_px")], axis=1)
    # WSInfer's reader fills what lies beyond the slide with black, ours with white: such tiles compare nothing.
    inside = np.flatnonzero(((corners >= 0) & (corners + side <= (width, height))).all(axis=1))
    inside = inside[:: -(-len(inside) // most)]
    ours = np.stack([found.table.column(score_column(head, name)).to_numpy() for name in classes], axis=1)[
        inside
    ]
    outside = work / "wsinfer"
    shutil.rmtree(outside, ignore_errors=True)
    (outside / "patches").mkdir(parents=True)
    (outside / "masks").mkdir()
    (outside / "masks" / f"{slide.stem}.jpg").touch()
    attrs = {"patch_size": side, "patch_level": 0, "patch_spacing_um_px": found.spec.mpp}
    patches = {
        str(outside / "patches" / f"{slide.stem}.h5"): {"coords": corners[inside].tolist(), "attrs": attrs}
    }
    (work / "patches.json").write_text(json.dumps(patches))
    (work / "inside.py").write_text(INSIDE)
    run(
        python, work / "inside.py", work / "patches.json", "run", "--wsi-dir", slide.parent, "--results-dir", outside,
        "--model-path", export / "torchscript_model.pt", "--config", export / "config.json", "--num-workers", "1",
    )  # fmt: skip
    with (outside / "model-outputs-csv" / f"{slide.stem}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [[int(row["minx"]), int(row["miny"])] for row in rows] == corners[inside].tolist()
    names = [name for name in rows[0] if name.startswith("prob_")]
    return ours, np.array([[float(row[name]) for name in names] for row in rows])


def run(*words: object) -> None:
    command = [str(word) for word in words]
    if command[0] == "inkdot":
        command = [sys.executable, "-c", "from inkdot.cli import main; main()", *command[1:]]
    home = {
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "HF_HUB_OFFLINE": "1",
        "WSINFER_FORCE_CPU": "1",
        "OMP_NUM_THREADS": "1",
    }
    ended = subprocess.run(command, env=os.environ | home, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{' '.join(command)}\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}")


if __name__ == "__main__":
    sys.exit(main())

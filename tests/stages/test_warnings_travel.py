"""What must be said of a slide stands in every output about it, and nothing there calls it negative."""

import csv
import io
import json
import re
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

import cv2
import numpy as np
import pytest

from inkdot.config import config_from_mapping
from inkdot.records import Mpp
from inkdot.serve.served_results import ServeSettings, served_results
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import predict, tile
from inkdot.stages.review import export as review_export
from inkdot.storage.image_files import read_image_metadata
from inkdot.storage.layout import RunLayout
from inkdot.storage.output_layouts import ReviewLayout
from inkdot.storage.schemas import (
    CLUSTER_SCORES_VERSION,
    CLUSTERS_VERSION,
    SCORES_VERSION,
    TILES_VERSION,
)
from inkdot.storage.tables.parquet_tables import read_footer

SYNTHETIC_MODEL = "trained on synthetic specimens"
STAIN = "stain 'mgg' was never seen in training"
PREPARATION = "preparation 'smear' was never seen in training"
SCANT = "nucleated cells in focus, 20 are needed"
FOCUS = "cannot be assessed (focus, artefacts)"
UNASSESSABLE = "of the slide cannot be assessed"
EMPTY = "no nucleated cell was found"
BUDGET = "beyond tiling.max_tiles (20)"
SMALL = "8 of 8 clusters and lone cells were not looked at: 8 one or two small nuclei (below tiling.lone_nucleus_um, 7.2 µm)"
NONE_SCORED = "none of its 8 nucleated cells was looked at"
SLIDES = ("scant", "blurred", "empty", "three", "crowded", "lone")
LIMITS = {"max_tiles": 20, "lone_nucleus_um": 7.2, "cell_finder": "classical"}  # these are discs, not cells
TILING = {"mode": "clusters", "side_px": 64, "mpp": 0.5, "stride_px": 64, **LIMITS}


def painted(cells: int, blur_px: float = 0.0, radius_px: int = 12) -> np.ndarray:
    rgb = np.full((700, 700, 3), 244, np.uint8)
    for x, y in np.random.default_rng(1).integers(60, 640, (cells, 2)).tolist():
        cv2.circle(rgb, (x, y), radius_px, (90, 60, 130), cv2.FILLED, cv2.LINE_AA)
    return cv2.GaussianBlur(rgb, (0, 0), blur_px) if blur_px else rgb


@pytest.fixture(scope="module")
def outputs(
    untrained_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Callable[[str], str]]:
    """Everything written or shown about a slide, as text, by what it is."""
    folder = tmp_path_factory.mktemp("outputs")
    images = {
        "scant": painted(6),
        "blurred": painted(60, 5.0),
        "empty": painted(0),
        "three": painted(3),
        "crowded": painted(60),
        "lone": painted(8, radius_px=6),
    }
    assert tuple(images) == SLIDES
    for name, image in images.items():
        write_array_pyramid(folder / f"{name}.tif", image, mpp=Mpp.square(0.5))
    rows = [f"{name},{name}.tif,mgg,smear" for name in images]
    (folder / "slides.csv").write_text("\n".join(["slide_id,path,stain,preparation", *rows]) + "\n")
    results, review = RunLayout(folder / "results"), ReviewLayout(folder / "review")
    model = untrained_model(folder / "model", synthetic=True, threshold=0.0, **LIMITS)
    with redirect_stderr(io.StringIO()) as terminal:
        assert (
            predict.run(
                [folder / "slides.csv"],
                model,
                results.root,
                predict.PredictSettings(allow_synthetic_model=True),
            )
            == 0
        )
    assert review_export.run(results.root, review.root) == 0
    tiled = RunLayout(folder / "tiled")
    with redirect_stderr(io.StringIO()) as tile_terminal:
        assert tile.run(folder / "slides.csv", config_from_mapping({"tiling": TILING}), tiled.root) == 0
    shown = served_results(results.root, ServeSettings())

    def line(path: Path, name: str) -> str:
        with path.open(encoding="utf-8", newline="") as file:
            return json.dumps(
                next(row for row in csv.DictReader(file) if row["slide_id"] == name), ensure_ascii=False
            )

    def of_slide(facts: object, name: str) -> str:
        assert isinstance(facts, list)
        return json.dumps(next(one for one in facts if one["id"] == name), ensure_ascii=False)

    def in_page(name: str) -> str:
        match = re.search(
            r'<script type="application/json"[^>]*>(.*?)</script>', review.index.read_text(), re.DOTALL
        )
        assert match
        return of_slide(json.loads(match[1])["slides"], name)

    def in_qupath(name: str) -> str:
        """What QuPath shows: the names of annotations, nothing else of the file."""
        features = json.loads(review.geojson(name).read_text(encoding="utf-8"))["features"]
        return "\n".join(feature["properties"]["name"] for feature in features)

    return {
        "terminal": lambda name: terminal.getvalue(),
        "predictions.csv": lambda name: line(results.predictions_csv, name),
        "scores": lambda name: json.dumps(
            read_footer(results.scores(name), SCORES_VERSION), ensure_ascii=False
        ),
        "cluster scores": lambda name: json.dumps(
            read_footer(results.cluster_scores(name), CLUSTER_SCORES_VERSION), ensure_ascii=False
        ),
        "overview": lambda name: json.dumps(read_image_metadata(results.overview(name)), ensure_ascii=False),
        "heat map": lambda name: json.dumps(read_image_metadata(results.heat_map(name)), ensure_ascii=False),
        "QuPath's file": lambda name: json.dumps(
            json.loads(review.geojson(name).read_text(encoding="utf-8"))["inkdot"], ensure_ascii=False
        ),
        "QuPath": in_qupath,
        "worklist": lambda name: line(review.worklist, name),
        "gallery": in_page,
        "server": lambda name: of_slide(shown.facts["slides"], name),
        "terminal of tile": lambda name: tile_terminal.getvalue(),
        "assessment.csv": lambda name: line(tiled.assessment_csv, name),
        "tiles": lambda name: json.dumps(read_footer(tiled.tiles(name), TILES_VERSION), ensure_ascii=False),
        "clusters": lambda name: json.dumps(
            read_footer(tiled.clusters(name), CLUSTERS_VERSION), ensure_ascii=False
        ),
    }


OUTPUTS = (
    "terminal", "predictions.csv", "scores", "cluster scores", "overview", "heat map", "QuPath's file", "QuPath", "worklist",
    "gallery", "server",
)  # fmt: skip
TILE_OUTPUTS = ("terminal of tile", "assessment.csv", "tiles", "clusters")


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(
    ("slide", "warning"),
    [
        ("scant", SYNTHETIC_MODEL),
        ("scant", STAIN),
        ("scant", PREPARATION),
        ("scant", SCANT),
        ("blurred", FOCUS),
        ("blurred", STAIN),
        ("empty", EMPTY),
        ("three", SCANT),
        ("crowded", BUDGET),
        ("lone", SMALL),
        ("lone", NONE_SCORED),
    ],
)
def test_every_output_about_a_slide_carries_its_warnings(
    outputs: dict[str, Callable[[str], str]], output: str, slide: str, warning: str
) -> None:
    assert warning in outputs[output](slide)


@pytest.mark.parametrize("output", TILE_OUTPUTS)
@pytest.mark.parametrize(
    ("slide", "warning"), [("blurred", UNASSESSABLE), ("crowded", BUDGET), ("lone", SMALL)]
)
def test_every_output_of_tiling_carries_the_warnings_of_the_slide(
    outputs: dict[str, Callable[[str], str]], output: str, slide: str, warning: str
) -> None:
    assert warning in outputs[output](slide)


def test_all_outputs_are_walked(outputs: dict[str, Callable[[str], str]]) -> None:
    assert set(outputs) == set(OUTPUTS) | set(TILE_OUTPUTS)


@pytest.mark.parametrize("output", [*OUTPUTS, *TILE_OUTPUTS])
def test_nothing_is_called_negative(outputs: dict[str, Callable[[str], str]], output: str) -> None:
    for slide in SLIDES:
        assert "negative" not in outputs[output](slide).lower()

"""A slide file that is replaced between two stages, or while one reads it, is named and never taken for the first one."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.predict_run import run

from inkdot.config import Config, MorphometryConfig
from inkdot.datasets.tile_cache import CacheTask
from inkdot.errors import UnreadableSlideError
from inkdot.pipeline.results.cluster_slide import cluster_slide
from inkdot.pipeline.results.render_slide import draw_slide
from inkdot.pipeline.scoring.score_slide import ScoringModel, score_slide
from inkdot.pipeline.tile_slide import tile_slide
from inkdot.records import SlideEntry
from inkdot.serve.slide_pool import SlidePool
from inkdot.slides.unchanged import SameFile, open_unchanged
from inkdot.stages.predict import tiling_config
from inkdot.stages.review import export as review_export
from inkdot.storage.hashing import slide_fingerprint
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import SCORES_VERSION
from inkdot.storage.tables.parquet_tables import read_footer

MakeFile = Callable[..., Path]
SYNTHETIC = json.dumps({"synthetic": True})
OTHER = r"s\.tif: expected the file that was tiled, found another one under its name"


@pytest.fixture
def replace(dotted_slide: MakeFile, tmp_path: Path) -> Callable[[int], SlideEntry]:
    """Puts another slide of this seed under the one name."""

    def put(seed: int) -> SlideEntry:
        made = dotted_slide(tmp_path / "made" / "s.tif", seed, description=SYNTHETIC)
        path = tmp_path / "slides" / "s.tif"
        path.parent.mkdir(exist_ok=True)
        made.replace(path)
        return SlideEntry("s", path)

    return put


@pytest.fixture
def model(untrained_model: MakeFile, tmp_path: Path) -> Path:
    return untrained_model(tmp_path / "model", synthetic=True, adequacy={"min_nuclei": 0})


def test_scoring_refuses_and_the_next_run_takes_the_new_slide(
    replace: Callable[[int], SlideEntry], model: Path, tmp_path: Path
) -> None:
    entry, layout = replace(1), RunLayout(tmp_path / "out")
    scoring = ScoringModel.load(model, allow_synthetic_model=False)
    tile_slide(entry, tiling_config(scoring.predictor.description), layout)
    replace(2)
    with pytest.raises(UnreadableSlideError, match=OTHER):
        score_slide(entry, layout, scoring)
    assert not layout.scores("s").exists()
    assert run([entry.path], model, layout.root) == 0
    assert read_footer(layout.scores("s"), SCORES_VERSION)["slide_fingerprint"] == slide_fingerprint(
        entry.path
    )


def test_no_later_stage_reads_another_slide(
    replace: Callable[[int], SlideEntry], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry, layout = replace(1), RunLayout(tmp_path / "out")
    assert run([entry.path], model, layout.root, slide_images=False) == 0
    fingerprint = slide_fingerprint(entry.path)
    replace(2)
    with pytest.raises(UnreadableSlideError, match=OTHER):
        cluster_slide(entry, layout, MorphometryConfig(clusters=3))
    with pytest.raises(UnreadableSlideError, match=OTHER):
        draw_slide(entry, layout)
    with pytest.raises(UnreadableSlideError, match=OTHER), SlidePool().borrow(entry, fingerprint):
        pass
    assert review_export.run(layout.root, tmp_path / "review") == 1
    table = "".join(sign for sign in capsys.readouterr().err if sign.isascii())
    assert "found another one under its name" in " ".join(table.split())
    replace(1)
    assert review_export.run(layout.root, tmp_path / "review") == 0


def test_training_tiles_are_those_of_the_slide_that_was_tiled(
    replace: Callable[[int], SlideEntry], tmp_path: Path
) -> None:
    entry, layout = with_label(replace(1)), RunLayout(tmp_path / "run")
    tiling = {"side_px": 64, "mpp": 0.5, "stride_px": 64, "mode": "grid"}
    config = Config.model_validate({"tiling": tiling, "model": {"backbone": "test_resnet"}})
    tile_slide(entry, config, layout)
    replace(2)
    with pytest.raises(UnreadableSlideError, match=OTHER):
        CacheTask(config, layout, whole=True)(entry)
    tile_slide(entry, config, layout)
    assert CacheTask(config, layout, whole=True)(entry) == "done"


def with_label(entry: SlideEntry) -> SlideEntry:
    return SlideEntry(entry.slide_id, entry.path, on_slide={"malignancy": "malignant"})


def test_a_file_that_is_replaced_while_it_is_read_is_named(replace: Callable[[int], SlideEntry]) -> None:
    entry = replace(1)
    file = SameFile(entry.path)
    file.check()
    os.utime(entry.path)  # touched: still the same
    file.check()
    with pytest.raises(UnreadableSlideError, match=OTHER), open_unchanged(entry, file.fingerprint) as slide:
        replace(int(slide.info.slide_id == "s") + 1)
    with pytest.raises(UnreadableSlideError, match=OTHER):
        file.check()

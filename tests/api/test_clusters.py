"""Clusters found in Python are those that `inkdot tile` writes."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import shapely

import inkdot
from inkdot.api.frames import csv_to_arrow
from inkdot.errors import ConfigError, ManifestError
from inkdot.stages import tile
from inkdot.storage.layout import RunLayout

pytestmark = pytest.mark.slow  # each compares with a run of the commands


@pytest.fixture(scope="module")
def clusters(synthetic_slide: Path, demo_model: inkdot.Model) -> inkdot.Clusters:
    with inkdot.open_slide(synthetic_slide) as slide:
        return inkdot.find_clusters(slide, config=demo_model.config)


@pytest.fixture(scope="module")
def tiled(
    synthetic_slide: Path, demo_model: inkdot.Model, tmp_path_factory: pytest.TempPathFactory
) -> RunLayout:
    layout = RunLayout(tmp_path_factory.mktemp("tiled"))
    assert tile.run(synthetic_slide, demo_model.config, layout.root) == 0
    return layout


def test_the_tables_are_those_of_the_command(clusters: inkdot.Clusters, tiled: RunLayout) -> None:
    for table, path in (
        (clusters.to_arrow(), tiled.clusters(clusters.slide_id)),
        (clusters.tiles, tiled.tiles(clusters.slide_id)),
    ):
        written = pq.read_table(path, partitioning=None)
        assert table.schema.names == written.schema.names
        geometry = [name for name in table.column_names if not name.startswith("target.")]
        assert table.select(geometry).to_pydict() == written.select(geometry).to_pydict()


def test_the_assessment_is_that_of_the_command(clusters: inkdot.Clusters, tiled: RunLayout) -> None:
    row = csv_to_arrow(tiled.assessment_csv).to_pylist()[0]
    assert clusters.adequate == (row["call"] == "adequate")
    assert clusters.assessment.nuclei_in_focus == row["nuclei_in_focus"]
    assert clusters.assessment.assessable_mm2 == row["assessable_mm2"]


def test_frames_and_outlines_go_together(clusters: inkdot.Clusters) -> None:
    frame = clusters.to_pandas()
    assert len(frame) == len(clusters) == len(clusters.geometries) > 10
    assert clusters.nuclei == frame["nuclei"].sum()
    assert str(frame["measured_nuclei"].dtype) == "Int64"
    for row, outline in zip(frame.itertuples(), clusters.geometries, strict=True):
        box = shapely.box(
            row.x_l0_px, row.y_l0_px, row.x_l0_px + row.width_l0_px, row.y_l0_px + row.height_l0_px
        )
        assert box.buffer(1).contains(outline)


def test_a_path_will_do_and_measuring_can_be_left_out(
    synthetic_slide: Path, demo_model: inkdot.Model, clusters: inkdot.Clusters
) -> None:
    quick = inkdot.find_clusters(synthetic_slide, config=demo_model.config, measure=False)
    assert quick.to_arrow()["nuclei"] == clusters.to_arrow()["nuclei"]
    assert quick.to_arrow()["measured_nuclei"].null_count == len(quick)
    assert not quick.lymphocytes


def test_preparations_that_are_cut_by_a_grid_have_no_clusters(synthetic_slide: Path) -> None:
    with pytest.raises(ConfigError, match="found grid"):
        inkdot.find_clusters(synthetic_slide, "section")
    with pytest.raises(ManifestError, match=r"^preparation=: expected thinprep"):
        inkdot.find_clusters(synthetic_slide, "spin")

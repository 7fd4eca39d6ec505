"""docs/reference/files.md names every version and every column, and no others."""

import re
from dataclasses import fields
from pathlib import Path

import pyarrow as pa
import pytest

from inkdot.case_model.records import CASE_MODEL_VERSION
from inkdot.case_model.report import EVALUATION_VERSION as CASE_EVALUATION_VERSION
from inkdot.evaluation.comparison.report import COMPARISON_VERSION
from inkdot.evaluation.report import EVALUATION_VERSION
from inkdot.evaluation.stress.outputs import STRESS_VERSION
from inkdot.labels import DEFAULT_HEADS
from inkdot.pipeline.results.render_slide import IMAGES_VERSION
from inkdot.pipeline.shards import SHARD_VERSION
from inkdot.review.active_learning.query_list import QUERY_LIST_VERSION
from inkdot.review.study.design import STUDY_VERSION
from inkdot.review.verdicts.verdict_table import VERDICTS_VERSION
from inkdot.stages.review.study import STUDY_RESULTS_VERSION
from inkdot.storage import schemas
from inkdot.storage.tables.predictions import Prediction

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
HEAD = DEFAULT_HEADS[0]


@pytest.mark.parametrize(
    ("version", "schema"),
    [
        (schemas.TILES_VERSION, schemas.tiles_schema([HEAD])),
        (schemas.CLUSTERS_VERSION, schemas.clusters_schema()),
        (schemas.SCORES_VERSION, schemas.scores_schema([HEAD], ensemble=True)),
        (schemas.CLUSTER_SCORES_VERSION, schemas.cluster_scores_schema([HEAD])),
        (schemas.NUCLEI_VERSION, schemas.nuclei_schema()),
    ],
)
def test_the_page_lists_the_columns_of_each_table(version: str, schema: pa.Schema) -> None:
    section = PAGE.split(f": `{version}`\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    columns = [re.sub(rf"\.{HEAD.name}\.\w+", ".<head>.<class>", name) for name in schema.names]
    assert listed == list(dict.fromkeys(columns))


def test_the_page_names_every_version_and_no_other() -> None:
    versions = {value for name, value in vars(schemas).items() if name.endswith("_VERSION")}
    assert len(versions) >= 6
    versions |= {IMAGES_VERSION, VERDICTS_VERSION, QUERY_LIST_VERSION, COMPARISON_VERSION}
    versions |= {EVALUATION_VERSION, STRESS_VERSION, SHARD_VERSION}
    versions |= {CASE_MODEL_VERSION, CASE_EVALUATION_VERSION, STUDY_VERSION, STUDY_RESULTS_VERSION}
    assert set(re.findall(r"`(inkdot\.\w+/\d+)`", PAGE)) == versions


def test_the_page_lists_the_columns_of_the_predictions() -> None:
    section = PAGE.split("## `predictions.csv`\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    assert listed == [field.name for field in fields(Prediction)]

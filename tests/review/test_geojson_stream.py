"""Half a million regions are written within a gibibyte, and every one is whole."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

REGIONS = 500_000

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from inkdot.labels import DEFAULT_HEADS
from inkdot.records import BoundsL0, Mpp, TileSpec
from inkdot.review.qupath_export import write_geojson
from inkdot.review.results.ranking import Ranking
from inkdot.review.results.read_results import SlideResults
from inkdot.review.results.scored_slide import ScoredSlide, ScoreFacts, SlideFrame

count = int(sys.argv[1])
frame = SlideFrame("large", (200_000, 200_000), Mpp.square(0.25), "metadata", BoundsL0(500, 300, 199_000, 199_000), False)
facts = ScoreFacts(frame, TileSpec(256, 0.25, 256), DEFAULT_HEADS, 0.5, "m" * 64, "t" * 64, (), False)
rows = np.arange(count)
flag = 0.5 + 0.5 * (rows / count)
scores = {"p.malignancy.benign": 1 - flag, "p.malignancy.malignant": flag}
scores |= {"p.morphology.small_cell": 1 - flag, "p.morphology.large_cell": flag}
slide = ScoredSlide(facts, 256 * (rows % 750), 256 * (rows // 750), scores, flag >= 0.5)
nobody = Ranking(regions=(), **{name: 0 for name in Ranking.__dataclass_fields__ if name != "regions"})
summary = write_geojson(Path(sys.argv[2]), SlideResults(slide, None), nobody, max_features=count)
assert (summary.features, summary.left_out) == (count, 0)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="limits memory as POSIX does")
def test_half_a_million_regions_within_a_gibibyte(tmp_path: Path) -> None:
    def a_gibibyte() -> None:
        # Of all private memory, heap and threads included, so that it bounds what is resident.
        resource.setrlimit(resource.RLIMIT_DATA, (2**30, 2**30))

    path = tmp_path / "large.geojson"
    command = [sys.executable, "-c", SCRIPT, str(REGIONS), str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=a_gibibyte)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = 0
    identities = set[str]()
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith('{"type":"Feature"'):
                feature = json.loads(line.rstrip().rstrip(","))
                corners = feature["geometry"]["coordinates"][0]
                assert corners[0] == corners[-1]
                identities.add(feature["id"])
                found += 1
    assert found == len(identities) == REGIONS

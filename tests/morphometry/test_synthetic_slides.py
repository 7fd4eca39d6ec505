"""The reference on synthetic slides: their lymphocytes' size comes back, and ratios do not depend on the scanner."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from inkdot.geometry import plan_rectangle
from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import read_slides
from inkdot.morphometry import LymphocyteReference, lymphocyte_reference, measure_nuclei, segment_nuclei
from inkdot.slides import open_slide
from inkdot.stages import synth


def reference_and_ratios(
    folder: Path, mpp: float
) -> tuple[LymphocyteReference, float, dict[str, float], dict[str, float]]:
    """LymphocyteReference, true lymphocyte diameter, and measured and true ratio per class, of one small slide."""
    synth.run("lm-typical", 1, 8, folder, spot_mm=0.6, mpp=mpp, workers=1)
    (entry,) = read_slides(folder / "slides.csv", DEFAULT_HEADS)
    with contextlib.closing(open_slide(entry)) as slide:
        info = slide.info
        image = slide.read(plan_rectangle(info, 0, 0, 0, *info.size_l0_px))
    nuclei = measure_nuclei(image, segment_nuclei(image, info.mpp).labels, info.mpp)
    reference = lymphocyte_reference(nuclei)
    regions = np.array([(one.x_px, one.y_px) for one in nuclei])
    found: dict[str, list[tuple[float, float]]] = {}
    truth = pq.read_table(folder / "truth" / f"{entry.slide_id}.parquet").to_pylist()
    for row in truth:
        if row["nuclear_diameter_um"] is None or not row["in_focus"]:
            continue
        away_um = np.hypot(*(regions - (row["x_l0_px"], row["y_l0_px"])).T) * info.mpp.x
        nearest = int(away_um.argmin())
        if away_um[nearest] < 0.3 * row["nuclear_diameter_um"]:
            pair = (nuclei[nearest].diameter_um, row["nuclear_diameter_um"])
            found.setdefault(row["class"], []).append(pair)
    medians = {name: np.median(pairs, axis=0) for name, pairs in found.items() if len(pairs) >= 10}
    true_lymphocyte = float(medians["lymphocyte"][1])
    measured = {name: float(both[0]) / (reference.diameter_um or np.nan) for name, both in medians.items()}
    true = {name: float(both[1]) / true_lymphocyte for name, both in medians.items()}
    return reference, true_lymphocyte, measured, true


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_reference_and_ratios_at_two_scales(tmp_path: Path) -> None:
    at_scale: dict[float, dict[str, float]] = {}
    for mpp in (0.25, 0.5):
        reference, lymphocyte_um, measured, true = reference_and_ratios(tmp_path / str(mpp), mpp)
        assert reference.available, reference.reason
        assert reference.diameter_um == pytest.approx(lymphocyte_um, rel=0.08)
        assert len(measured) >= 2, json.dumps(measured)
        for name, ratio in measured.items():
            # Nuclei in moulded clusters come out a little small, lymphocytes a little large.
            assert ratio == pytest.approx(true[name], rel=0.12), name
        at_scale[mpp] = measured
    for name in at_scale[0.25].keys() & at_scale[0.5].keys():
        assert at_scale[0.25][name] == pytest.approx(at_scale[0.5][name], rel=0.06), name

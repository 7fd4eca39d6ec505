"""A scale in another unit is named, with the number that was probably meant."""

from pathlib import Path

import pytest

from inkdot.errors import ManifestError
from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import read_slides, with_overrides
from inkdot.records import SlideEntry

SLIPS = [
    ("0.00025", r"is it in mm\? 0.00025 mm are 0.25 µm: state 0.25"),
    ("0.000025", r"is it in cm\? 2.5e-05 cm are 0.25 µm: state 0.25"),
    ("250", r"is it in nm\? 250 nm are 0.25 µm: state 0.25"),
    ("40", "perhaps the magnification of an objective"),
    ("5000", "found 5000; correct it"),
]


@pytest.mark.parametrize(("text", "found"), SLIPS)
def test_a_scale_in_another_unit_is_named(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(ManifestError, match=rf"^--mpp: expected micrometres per pixel .*{found}"):
        with_overrides([SlideEntry("a", Path("a.svs"))], mpp=float(text))
    table = tmp_path / "slides.csv"
    table.write_text(f"slide_id,path,mpp\na,a.svs,{text}\n")
    with pytest.raises(ManifestError, match=rf"line 2: column mpp: expected micrometres per pixel .*{found}"):
        read_slides(table, DEFAULT_HEADS)


@pytest.mark.parametrize("value", [0.01, 0.08, 0.25, 2.0, 10.0])
def test_a_scale_that_may_be_meant_is_taken(value: float) -> None:
    (entry,) = with_overrides([SlideEntry("a", Path("a.svs"))], mpp=value)
    assert entry.mpp is not None
    assert entry.mpp.x == value

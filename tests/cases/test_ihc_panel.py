"""A panel as people write it: typed signs are read, other forms are refused with the form that was meant."""

import pytest

from inkdot.cases.case_record import IhcResult
from inkdot.cases.ihc_panel import panel_in
from inkdot.cases.unit_checks import CellError


@pytest.mark.parametrize(
    "text", ["Ki-67=90%", "Ki\u201167=90%", "Ki\u201367=90\u00a0%", "Ki\u221267 = 90\u202f%", "MIB-1=90 %"]
)
def test_hyphens_and_spaces_of_word_processors_are_read(text: str) -> None:
    assert panel_in(text) == {"Ki-67": IhcResult("Ki-67", "percent", 90.0)}


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("p16+", "write p16=positive"),
        ("CgA−", "write CgA=negative"),
        ("Ki-67 90 %", "write Ki-67=90%"),
        ("Ki-67: 90%", "write Ki-67=90%"),
        ("Ki-67: 90,5%", "write Ki-67=90.5%"),
        ("Ki-67=90,5%", "write a decimal point"),
        ("CD56: positive", "write CD56=positive"),
        ("Ki-67=90", "write 90%"),
        ("Syn=pos", "write negative or positive"),
        ("Syn=−", "write negative or positive"),
        ("Syn=positive, CgA=negative", "separate the markers with semicolons"),
        ("Syn+, CD56+, CgA−, p16+, Ki-67 90 %", "separate the markers with semicolons"),
        ("β-catenin=positive", "write the marker in letters and digits of English"),
        ("Syn=weak", "correct it"),
        ("Syn", "correct it"),
    ],
)
def test_another_form_is_refused_with_the_form_that_was_meant(text: str, remedy: str) -> None:
    with pytest.raises(CellError, match=r"^(expected|.*: expected) .*, found ") as error:
        panel_in(text)
    assert remedy in str(error.value).rpartition("found ")[2]
    assert "\n" not in str(error.value)

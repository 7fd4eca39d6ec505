"""The form of ``slides.csv`` as stages hand it on."""

from pathlib import Path

from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import manifest_text
from inkdot.records import Mpp, SlideEntry

EXPECTED = """\
slide_id,path,patient_id,specimen_id,site,scanner,preparation,stain,mpp,annotation,\
malignancy,morphology,patient_malignancy,patient_morphology,split
a,slides/a.tif,P1,S1,Bern,AT2,thinprep,pap,0.25,labels.csv,malignant,mixed,malignant,,train
b,{elsewhere},,,,,,,,,,,,,
"""


def test_the_form_of_the_table(tmp_path: Path) -> None:
    run = tmp_path / "run"
    elsewhere = tmp_path / "other" / "b.svs"
    entries = [
        SlideEntry("b", elsewhere),
        SlideEntry(
            "a",
            run / "slides" / "a.tif",
            patient_id="P1",
            specimen_id="S1",
            site="Bern",
            scanner="AT2",
            preparation="thinprep",
            stain="pap",
            mpp=Mpp.square(0.25),
            annotation=run / "labels.csv",
            on_slide={"malignancy": "malignant", "morphology": "mixed"},
            of_patient={"malignancy": "malignant"},
            extra={"split": "train", "remark": "P. Miller, born 1950"},
        ),
    ]
    assert manifest_text(entries, DEFAULT_HEADS, run) == EXPECTED.format(elsewhere=elsewhere)

"""Manifests as laboratories write them, right and wrong."""

from pathlib import Path

import pytest

from inkdot.errors import ManifestError
from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import manifest_text, read_all_slides, read_slides, with_overrides
from inkdot.records import Mpp, SlideEntry
from inkdot.units import MicrometresPerPixel

FULL = """slide_id,path,patient_id,specimen_id,site,scanner,preparation,stain,mpp,annotation,malignancy,morphology,\
patient_malignancy,patient_morphology,remark,split
b,slides/b.svs,P1,S1,Bern,AT2,thinprep,pap,0.25,labels/b.csv,malignant,small_cell,malignant,small_cell,"a, ""b"" c",train
Präparat 1,/abs/a 1.svs,,,,,,,,,,,,,,
"""


def written(folder: Path, text: str | bytes, name: str = "slides.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def read(folder: Path, text: str | bytes) -> list[SlideEntry]:
    return read_slides(written(folder, text), DEFAULT_HEADS)


def test_every_column_lands_where_it_belongs(tmp_path: Path) -> None:
    blank, full = read(tmp_path, FULL)
    assert full == SlideEntry(
        slide_id="b",
        path=tmp_path / "slides" / "b.svs",
        patient_id="P1",
        specimen_id="S1",
        site="Bern",
        scanner="AT2",
        preparation="thinprep",
        stain="pap",
        mpp=Mpp.square(0.25),
        annotation=tmp_path / "labels" / "b.csv",
        on_slide={"malignancy": "malignant", "morphology": "small_cell"},
        of_patient={"malignancy": "malignant", "morphology": "small_cell"},
        extra={"split": "train", "remark": 'a, "b" c'},
    )
    assert blank == SlideEntry("Präparat 1", Path("/abs/a 1.svs"), extra={"split": "", "remark": ""})


def test_reading_what_was_written_gives_the_same(tmp_path: Path) -> None:
    entries = read(tmp_path, FULL)
    odd = Mpp(MicrometresPerPixel(0.2281750559028887), MicrometresPerPixel(0.23))
    entries = [
        *with_overrides(entries[:1], mpp=1 / 3),
        SlideEntry("z", tmp_path / "z.svs", mpp=odd, extra={"split": "", "remark": ""}),
    ]
    text = manifest_text(entries, DEFAULT_HEADS, tmp_path, ["remark"])
    assert read(tmp_path, text) == entries


def test_order_is_by_name_whatever_the_rows(tmp_path: Path) -> None:
    entries = read(tmp_path, "path,slide_id\nx.svs,c\ny.svs,a\nz.svs,b\n")
    assert [entry.slide_id for entry in entries] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfslide_id,path\r\na,a.svs\r\n",  # Excel's "CSV UTF-8"
        b"slide_id,path\ra,a.svs\r",  # old Mac line ends
        b"slide_id,path\na,a.svs",
        b" slide_id , path \n a , a.svs \n\n , \n",
    ],
)
def test_spellings_of_the_same_table(tmp_path: Path, data: bytes) -> None:
    assert read(tmp_path, data) == [SlideEntry("a", tmp_path / "a.svs")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected columns slide_id, path, found none"),
        ("slide_id,path\n", r"expected at least one slide, found only the header"),
        ("slide_id;path\na;a.svs\n", r"expected commas between columns, found semicolons; save it with commas"),
        ("slide_id\tpath\na\ta.svs\n", r"found tabs; save it with commas"),
        ("slide_id,file\na,a.svs\n", r"expected columns slide_id, path, found slide_id, file; add 'path'"),
        ("Slide ID,path\na,a.svs\n", r"expected column 'slide_id', found 'Slide ID'; rename it"),
        ("slide_id,path,PatientID\na,a.svs,P\n", r"expected column 'patient_id', found 'PatientID'; rename it"),
        ("slide_id,path,Malignancy\na,a.svs,x\n", r"expected column 'malignancy', found 'Malignancy'"),
        ("slide_id,path,stain,stain\na,a.svs,he,pap\n", r"expected each column once, found 'stain' more than once"),
        ("slide_id,path,\na,a.svs,\n", r"expected a name for each column, found none for column 3"),
        ("slide_id,path\na,a.svs,x\n", r"line 2: expected 2 fields, found more \(3\); check commas and quotes"),
        ("slide_id,path\nb,b.svs\na\n", r"line 3: expected 2 fields, found fewer \(1\)"),
        ('slide_id,path\n"a,a.svs\n', r"line 2: not a CSV table"),
        ("slide_id,path\n,a.svs\n", r"line 2: column slide_id: expected a name .* found ''"),
        ("slide_id,path\na,\n", r"line 2: column path: expected the slide file, found nothing"),
        ("slide_id,path\n../a,a.svs\n", r"column slide_id: expected a name that can be a file name .* found '\.\./a'"),
        ("slide_id,path\n..,a.svs\n", r"column slide_id"),
        ("slide_id,path\na.,a.svs\n", r"column slide_id"),
        ("slide_id,path\n\"a\nb\",a.svs\n", r"column slide_id"),
        (f"slide_id,path\n{'ü' * 120},a.svs\n", r"at most 200 bytes"),
        ("slide_id,path\na,a.svs\na,b.svs\n", r"expected unique slide_id, found 'a' for a\.svs and b\.svs"),
        ("slide_id,path\na,a.svs\nA,b.svs\n", r"expected unique slide_id, found 'A'"),
        ("slide_id,path\na,a.svs\nb,./x/../a.svs\n", r"expected each slide file once, found a\.svs as 'a' and as 'b'"),
        ("slide_id,path,preparation\na,a.svs,cyto\n", r"column preparation: expected thinprep, .* found 'cyto'"),
        ("slide_id,path,mpp\na,a.svs,0\n", r"line 2: column mpp: expected micrometres per pixel .* found '0'"),
        ("slide_id,path,mpp\na,a.svs,20x\n", r"column mpp: .* found '20x'"),
        ('slide_id,path,mpp\na,a.svs,"0,25"\n', r"column mpp: .* found '0,25'; write a decimal point"),
        ("slide_id,path,mpp\na,a.svs,nan\n", r"column mpp"),
        ("slide_id,path,mpp\na,a.svs,0.25x0.26x0.27\n", r"column mpp"),
        (
            "slide_id,path,malignancy\na,a.svs,maybe\n",
            r"column malignancy: expected malignant, benign, .* found 'maybe'; correct it, or add .* head 'malignancy'",
        ),
        (
            "slide_id,path,patient_morphology\na,a.svs,oat\n",
            r"column patient_morphology: expected small_cell, .* found 'oat'",
        ),
        (
            "slide_id,path,patient_id,specimen_id\na,a.svs,P1,S\nb,b.svs,P2,S\n",
            r"line 3: column patient_id: expected one value for specimen 'S', found 'P2' here and 'P1' in line 2",
        ),
        (
            "slide_id,path,patient_id,patient_malignancy\na,a.svs,P,benign\nb,b.svs,P,malignant\n",
            r"line 3: column patient_malignancy: .* patient 'P', found 'malignant' here and 'benign' in line 2",
        ),
        (
            "slide_id,path,patient_id,split\na,a.svs,P,train\nb,b.svs,Q,test\nc,c.svs,P,test\n",
            r"line 4: column split: expected one value for patient 'P', found 'test' here and 'train' in line 2",
        ),
    ],
)  # fmt: skip
def test_a_wrong_table_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "slides.csv"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("slide_id,path\nPräparat,a.svs\n".encode("latin-1"), r"line 2: expected UTF-8 .* 0xe4; save it as 'CSV UTF-8'"),
        ("slide_id,path\na,a.svs\n".encode("utf-16"), r"found UTF-16; save it as 'CSV UTF-8'"),
        (b"PK\x03\x04 \0\0 an xlsx renamed", r"found binary data"),
    ],
)  # fmt: skip
def test_other_encodings_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read(tmp_path, data)


def test_anisotropic_mpp_can_be_stated(tmp_path: Path) -> None:
    (entry,) = read(tmp_path, "slide_id,path,mpp\na,a.svs,0.25x0.26\n")
    assert entry.mpp == Mpp(MicrometresPerPixel(0.25), MicrometresPerPixel(0.26))


def test_other_heads_other_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "slide_id,path,malignancy\na,a.svs,anything\n")
    (entry,) = read_slides(path, DEFAULT_HEADS[1:])
    assert entry.on_slide == {}
    assert entry.extra == {"malignancy": "anything"}


def test_a_folder_names_slides_by_their_stem(tmp_path: Path) -> None:
    for name in ("b.SVS", "Präparat 1.tif", "notes.txt", "._b.svs", ".hidden.svs", "labels.csv"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "sub.svs").mkdir()
    entries = read_slides(tmp_path, DEFAULT_HEADS)
    assert entries == [
        SlideEntry("Präparat 1", tmp_path / "Präparat 1.tif"),
        SlideEntry("b", tmp_path / "b.SVS"),
    ]


def test_a_folder_with_two_equal_stems_is_an_error(tmp_path: Path) -> None:
    for name in ("a.svs", "a.tif"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ManifestError, match=r"found 'a' for a\.svs and a\.tif; rename one"):
        read_slides(tmp_path, DEFAULT_HEADS)


def test_an_empty_folder_and_nothing_at_all_are_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"expected slide files, found none; known suffixes are .*\.svs"):
        read_slides(tmp_path, DEFAULT_HEADS)
    with pytest.raises(ManifestError, match="found nothing there"):
        read_slides(tmp_path / "gone", DEFAULT_HEADS)


def test_a_single_slide_is_named_by_its_stem(tmp_path: Path) -> None:
    path = written(tmp_path, b"x", "one slide.svs")
    assert read_slides(path, DEFAULT_HEADS) == [SlideEntry("one slide", path)]


def test_a_file_name_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sl\udce9de.svs"  # a Latin-1 name on a UTF-8 system
    try:
        path.write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    with pytest.raises(ManifestError, match=r"the file's name: expected a name .* rename the file"):
        read_slides(path, DEFAULT_HEADS)
    with pytest.raises(ManifestError, match=r"found none; .*1 file \(sl\?de\.svs\) passed over"):
        read_slides(tmp_path, DEFAULT_HEADS)


def test_several_sources_share_one_set_of_names(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
    first, second = tmp_path / "x" / "a.svs", tmp_path / "y" / "b.svs"
    first.write_bytes(b"x")
    second.write_bytes(b"x")
    entries = read_all_slides([second, tmp_path / "x"], DEFAULT_HEADS)
    assert [entry.slide_id for entry in entries] == ["a", "b"]
    with pytest.raises(ManifestError, match=r"expected each slide file once, found a\.svs"):
        read_all_slides([first, tmp_path / "x"], DEFAULT_HEADS)
    (tmp_path / "y" / "a.svs").write_bytes(b"y")
    with pytest.raises(ManifestError, match=r"found 'a' for \S+x.a\.svs and \S+y.a\.svs"):
        read_all_slides([tmp_path / "x", tmp_path / "y"], DEFAULT_HEADS)


def test_overrides_replace_one_field_on_every_slide(tmp_path: Path) -> None:
    entries = read(tmp_path, FULL)
    changed = with_overrides(entries, mpp=0.5, stain="he", preparation="section")
    assert {(entry.mpp, entry.stain, entry.preparation) for entry in changed} == {
        (Mpp.square(0.5), "he", "section")
    }
    assert with_overrides(entries) == entries
    for wrong in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ManifestError, match="--mpp"):
            with_overrides(entries, mpp=wrong)
    with pytest.raises(ManifestError, match=r"--preparation: expected thinprep, .* found 'smear2'"):
        with_overrides(entries, preparation="smear2")


@pytest.mark.parametrize("cell", ["x" * 300, "[" * 9000, '"two\nlines"'])
def test_cells_of_any_length_give_a_message_that_can_be_read(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "slides.csv"
    path.write_text(f"slide_id,path\na,{cell}\n")
    assert len(read_slides(path, DEFAULT_HEADS)) == 1  # which fails by name when it is opened
    path.write_text(f"slide_id,path,preparation\na,a.svs,{cell}\n")
    with pytest.raises(ManifestError, match=r"column preparation: expected thinprep.*; correct it$") as error:
        read_slides(path, DEFAULT_HEADS)
    assert len(str(error.value)) <= 2000
    path.write_text(f"slide_id,{cell}\na,b\n")
    with pytest.raises(ManifestError) as error:
        read_slides(path, DEFAULT_HEADS)
    assert len(str(error.value)) <= 2000

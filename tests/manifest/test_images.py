"""Tables of labelled images, used as they come."""

from pathlib import Path

import pytest

from inkdot.config import HeadConfig
from inkdot.errors import ManifestError
from inkdot.labels import DEFAULT_HEADS, Head
from inkdot.manifest import ImageColumns, ImageEntry, read_images
from inkdot.records import Mpp

LESION = HeadConfig(name="lesion", classes=["NL", "HSIL"]).to_head()
AS_IT_COMES = ImageColumns(group="original_image", heads={"lesion": "label"}, mpp_unknown=True, site="batch")


def read(folder: Path, text: str, columns: ImageColumns = AS_IT_COMES, *heads: Head) -> list[ImageEntry]:
    path = folder / "images.csv"
    path.write_text(text, encoding="utf-8")
    return read_images(path, heads or (LESION,), columns)


def test_columns_are_found_by_their_own_names(tmp_path: Path) -> None:
    text = "path,label,original_image,batch\nNL/b (1).jpg,NL,b 1,nl_1\nHSIL/a.jpg,HSIL,a,\nx.jpg,,c,\n"
    assert read(tmp_path, text) == [
        ImageEntry("HSIL/a.jpg", tmp_path / "HSIL" / "a.jpg", "a", {"lesion": "HSIL"}, None, ""),
        ImageEntry("NL/b (1).jpg", tmp_path / "NL" / "b (1).jpg", "b 1", {"lesion": "NL"}, None, "nl_1"),
        ImageEntry("x.jpg", tmp_path / "x.jpg", "c", {}, None, ""),
    ]


def test_mpp_per_row_else_of_all(tmp_path: Path) -> None:
    text = "path,malignancy,patient_id,mpp\na.png,benign,p,0.5\nb.png,malignant,q,\n"
    columns = ImageColumns(mpp_of_all=Mpp.square(0.25))
    entries = read(tmp_path, text, columns, DEFAULT_HEADS[0])
    assert [entry.mpp for entry in entries] == [Mpp.square(0.5), Mpp.square(0.25)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label,original_image\n", r"expected a column 'path', found file, label, original_image; .* as images\.path"),
        ("path,label\n", r"expected a column 'original_image', found path, label; name it in the config as images\.group"),
        ("path,original_image\n", r"expected a column 'label', .* as images\.heads\.lesion, or remove the head"),
        ("path;label;original_image\n", r"found semicolons; save it with commas"),
        ("path,label,original_image\n", r"expected at least one image"),
        ("path,label,original_image\n,NL,a\n", r"line 2: column path: expected an image file, found nothing"),
        ("path,label,original_image\na.jpg,NL,\n", r"line 2: column original_image: .* both training and validation"),
        ("path,label,original_image\na.jpg,LSIL,a\n", r"line 2: column label: expected NL, HSIL or blank, found 'LSIL'"),
        ("path,label,original_image\na.jpg,NL,a\n./a.jpg,NL,a\n", r"expected each image once, found '\./a\.jpg' twice"),
        (
            "path,label,original_image,split\na.jpg,NL,x,train\nb.jpg,NL,x,test\n",
            r"line 3: column split: expected one value for group 'x', found 'test' here and 'train' in line 2",
        ),
        ("path,label,original_image\na.jpg,,a\n", r"column label: expected labels of head 'lesion', found none"),
        ("", r"found none"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "images.csv"))
    assert "\n" not in str(caught.value)


def test_an_mpp_that_nobody_states_names_column_and_key(tmp_path: Path) -> None:
    text = "path,malignancy,patient_id\na.png,benign,p\n"
    with pytest.raises(ManifestError, match=r"line 2: column mpp: .* images\.mpp_of_all .* 'unknown'"):
        read(tmp_path, text, ImageColumns(), DEFAULT_HEADS[0])


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"found nothing there; correct --images"):
        read_images(tmp_path / "gone.csv", [LESION], AS_IT_COMES)


@pytest.mark.real_data
def test_the_pap_images_are_read_as_they_come(real_data: Path) -> None:
    head = HeadConfig(name="lesion", classes=["NL", "LSIL", "HSIL", "SCC"]).to_head()
    entries = read_images(real_data / "lbc" / "images.csv", [head], AS_IT_COMES)
    assert len(entries) == 2246
    assert {entry.labels["lesion"] for entry in entries} == set(head.classes)
    assert all(entry.path.is_file() for entry in entries)
    assert len({entry.group for entry in entries}) < len(entries)

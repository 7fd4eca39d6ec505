"""``inkdot review report`` on painted slides: one tagged page each, whatever names and notes hold."""

import io
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pypdf
import pypdfium2
import pytest
from fixtures.founding_case import FOUNDING, write_cases
from fixtures.scored_results import scored_results
from PIL import Image

from inkdot.errors import UserError
from inkdot.review.gallery.pseudonyms import read_pseudonyms
from inkdot.stages.review import report
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.model_files import model_sha256
from inkdot.storage.tables.predictions import read_predictions
from inkdot.storage.verdict_schema import Change, Study
from inkdot.storage.verdict_store import VerdictStore

pytest.importorskip("typst")

MODEL = Path(__file__).parents[2] / "models" / "demo"
MADE = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
SCORES = {
    (column, row): 0.1 + 0.008 * (column + 8 * row) for column in range(0, 8, 2) for row in range(0, 6, 2)
}
TOP = {**SCORES, (3, 3): 0.99999}
HOSTILE = "#panic() $x$ `a` <b> \\ \"'{{ = + @"


def place(column: int, row: int) -> str:
    x, y = 200 * column, 200 * row
    return f"POLYGON (({x} {y}, {x + 200} {y}, {x + 200} {y + 200}, {x} {y + 200}, {x} {y}))"


def answers(
    results: RunLayout, slide_id: str, given: Iterable[tuple[tuple[int, int], str, str, str]]
) -> None:
    """Store answers as (place, verdict, reader, note)."""
    store = VerdictStore(results.reviews_sqlite)
    time = "2026-03-01T10:00:00Z"
    for where, verdict, reader, note in given:
        entry = {
            "verdicts": {"malignancy": {"verdict": verdict, "time": time}},
            "note": {"text": note, "time": time} if note else None,
        }
        study, key = Study("ab" * 32, "blinded", "7"), f"{slide_id}/{where}"
        store.record(
            Change(reader, study, key, slide_id, place(*where), 1, None, entry, is_undo=False, time=time)
        )
    store.close()


def text_of(path: Path) -> str:
    document = pypdfium2.PdfDocument(path)
    assert len(document) == 1, f"{path.name}: {len(document)} pages"
    found = document[0].get_textpage().get_text_range()
    document.close()
    return " ".join(found.split())


def tagged(path: Path) -> list[tuple[str, str]]:
    """Structure tags of a PDF in their order, with their alternative texts."""
    found: list[tuple[str, str]] = []

    def walk(node: object) -> None:
        node = node.get_object() if isinstance(node, pypdf.generic.IndirectObject) else node
        if isinstance(node, pypdf.generic.ArrayObject):
            for child in node:
                walk(child)
        elif isinstance(node, pypdf.generic.DictionaryObject):
            if "/S" in node:
                found.append((str(node["/S"]), str(node.get("/Alt", ""))))
            walk(node.get("/K"))

    root = pypdf.PdfReader(path).trailer["/Root"]
    assert root["/Lang"] == "en"
    assert root["/MarkInfo"]["/Marked"]
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    metadata = root["/Metadata"].get_data().decode()
    assert "<pdfuaid:part>1</pdfuaid:part>" in metadata
    assert "review report" in re.search("<dc:title>.*</dc:title>", metadata, re.DOTALL)[0]
    walk(root["/StructTreeRoot"])
    return found


def test_one_tagged_page_with_call_places_answers_and_date(tmp_path: Path) -> None:
    results = scored_results(tmp_path, {"one": TOP})
    slide = Change(
        "dr-a", Study("ab" * 32, "blinded", "7"), "slide", "one", "", 0, None,
        {"verdicts": {
            "adequacy": {"verdict": "adequate", "time": "2026-03-02T10:00:00Z"},
            "category": {"verdict": "SFM", "means": "suspicious", "time": "2026-03-02T10:00:00Z"},
        }, "note": None},
        is_undo=False, time="2026-03-02T10:00:00Z", kind="slide",
    )  # fmt: skip
    store = VerdictStore(results.reviews_sqlite)
    store.record(slide)
    store.close()
    elsewhere = ((0, 0), "benign", "dr-b", "")  # not among the six places
    answers(results, "one", [((3, 3), "malignant", "dr-a", "large cluster"), elsewhere])
    assert report.run(results.root, tmp_path / "out", pseudonymise=False, made=MADE) == 0
    path = tmp_path / "out" / "report-one.pdf"
    text = text_of(path)
    for part in (
        "Slide one", "2026-03-04 05:06 UTC", "Call: flagged", ">0.999 (operating point 0.500)", "dr-a: malignant",
        "malignancy: 1 benign", "1 place, blinded, 2026-03-01", "large cluster", "ab" * 32, "adequate, SFM (suspicious)",
        "Readers answered on 1 further place", "For Research Use Only. Not for use in diagnostic procedures.",
        "does not exclude malignancy",
    ):  # fmt: skip
        assert part in text, part
    assert "1.000" not in text
    tags = tagged(path)
    assert [name for name, _ in tags].count("/H1") >= 3
    alternatives = [alt for name, alt in tags if name == "/Figure"]
    assert len(alternatives) == 7  # the whole slide and six places
    assert all("the bar is" in alt for alt in alternatives)
    assert alternatives[1] == "Place 1, 100 µm wide, flagged, score >0.999; the bar is 20 µm long."


def test_hostile_names_and_long_notes_stay_text_on_one_page_which_says_what_it_leaves_out(
    tmp_path: Path,
) -> None:
    name = "#panic() $x$ [_b_] " + "W" * 150
    warnings = [f"warning {number} {HOSTILE} " + "long " * 80 for number in range(12)]
    results = scored_results(tmp_path, {name: TOP}, warnings=warnings)
    readers = ("dr-a", "dr-b " + "x" * 50, "dr-c")
    note = f"{HOSTILE} " + "n" * 1900
    cells = [(3, 3), *list(SCORES)[-5:]]
    answers(results, name, [(where, "unsure", reader, note) for where in cells for reader in readers])
    assert report.run(results.root, tmp_path / "out", pseudonymise=False, made=MADE) == 0
    (path,) = (tmp_path / "out").glob("*.pdf")
    text = text_of(path)
    assert "#panic() $x$ [_b_]" in text
    assert f"warning 0 {HOSTILE}"[:30] in text
    left_out = text[text.index("Left out for want of room") :]
    for part in ("warning", "notes", "the ends of long notes"):
        assert part in left_out
    # Nothing runs into the margin: the words of the page end where its content does.
    page = pypdfium2.PdfDocument(path)[0]
    signs = page.get_textpage()
    boxes = [signs.get_charbox(number) for number in range(signs.count_chars())]
    assert max(box[2] for box in boxes) < page.get_width() - 30


def test_the_same_results_and_date_give_the_same_bytes(tmp_path: Path) -> None:
    results = scored_results(tmp_path, {"one": TOP})
    for out in ("a", "b"):
        report.run(results.root, tmp_path / out, pseudonymise=False, made=MADE)
    first, second = ((tmp_path / out / "report-one.pdf").read_bytes() for out in ("a", "b"))
    assert first == second


def test_pseudonyms_are_the_default_and_names_leave_notes(tmp_path: Path) -> None:
    results = scored_results(
        tmp_path, {"doe-jane": TOP}, patients={"doe-jane": "P-4711"}, warnings=["site of Doe"]
    )
    answers(results, "doe-jane", [((3, 3), "malignant", "dr-a", "compare P-4711, DOE-JANE and Smith")])
    report.run(results.root, tmp_path / "out", identifiers=["smith"], made=MADE)
    name = read_pseudonyms(results.pseudonyms_csv)["doe-jane"]
    text = text_of(tmp_path / "out" / f"report-{name}.pdf")
    assert "compare […], […] and […]" in text
    assert "Names were taken out of notes" in text
    assert not re.search("doe-|of doe|4711|smith", text, re.IGNORECASE)
    assert name in text


def test_a_bad_slide_has_a_page_and_stops_no_other(tmp_path: Path) -> None:
    results = scored_results(tmp_path, {"a": TOP, "gone": TOP, "unread": SCORES, "z": SCORES})
    (tmp_path / "1.tif").unlink()
    results.scores("unread").write_bytes(b"nothing")
    assert report.run(results.root, tmp_path / "out", pseudonymise=False, made=MADE) == 1
    texts = {path.stem: text_of(path) for path in (tmp_path / "out").glob("*.pdf")}
    assert set(texts) == {"report-a", "report-gone", "report-unread", "report-z"}
    assert "Call: flagged" in texts["report-gone"]
    assert "No image: the slide could not be read again." in texts["report-gone"]
    assert "Call: not analysed" in texts["report-unread"]
    assert "Call: nothing flagged" in texts["report-z"]
    assert {row["outcome"] for row in read_predictions(results.predictions_csv)} == {"done"}


def test_a_patients_slides_share_a_page_with_the_highest_places_of_all(tmp_path: Path) -> None:
    slides = {"s1": SCORES, "s2": TOP, "alone": SCORES}
    results = scored_results(tmp_path, slides, patients={"s1": "p", "s2": "p", "alone": "q"})
    report.run(results.root, tmp_path / "out", by="patient", pseudonymise=False, made=MADE)
    assert {path.name for path in (tmp_path / "out").glob("*.pdf")} == {
        "report-patient-p.pdf",
        "report-alone.pdf",
    }
    text = text_of(tmp_path / "out" / "report-patient-p.pdf")
    assert "Patient p" in text
    alternatives = [
        alt for name, alt in tagged(tmp_path / "out" / "report-patient-p.pdf") if name == "/Figure"
    ]
    assert sum(alt.startswith("The whole slide") for alt in alternatives) == 2
    assert next(alt for alt in alternatives if alt.startswith("Place 1")).startswith("Place 1 of slide s2,")


def test_a_contact_sheet_is_an_image_for_a_slide_of_a_talk(tmp_path: Path) -> None:
    results = scored_results(tmp_path, {"one": TOP, "two": TOP})
    report.run(
        results.root, tmp_path / "out", slides=["one"], pseudonymise=False, contact_sheet=True, made=MADE
    )
    (path,) = (tmp_path / "out").glob("*.png")
    assert path.name == "contact-sheet-one.png"
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        assert image.size == (2560, 1440)
        # The image of the first place: dark lines of the painted slide, on its own ground.
        crop = image.convert("L").crop((700, 80, 1080, 440))
        low, high = crop.getextrema()
    assert low < 120
    assert high > 220


def test_the_model_is_named_where_it_is_that_of_the_results(tmp_path: Path) -> None:
    results = scored_results(tmp_path, {"one": TOP}, model_sha256=model_sha256(MODEL))
    report.run(results.root, tmp_path / "out", model=MODEL, pseudonymise=False, made=MADE)
    text = text_of(tmp_path / "out" / "report-one.pdf")
    assert re.search(
        r"model demo, trained on \d+ slides of \d+ patients \(synthetic\), SHA-256 [0-9a-f]{64}", text
    )
    other = scored_results(tmp_path / "other", {"one": TOP})
    with pytest.raises(
        UserError, match=r"expected the model of the results \(abababababab…\), found another"
    ):
        report.run(other.root, tmp_path / "out", model=MODEL)


def test_an_unknown_slide_is_named(tmp_path: Path) -> None:
    results = scored_results(tmp_path, {"one": TOP})
    with pytest.raises(UserError, match="--slide two: expected a slide of the results"):
        report.run(results.root, tmp_path / "out", slides=["two"])


def test_signs_that_no_font_has_are_shown_as_boxes(tmp_path: Path) -> None:
    results = scored_results(tmp_path, {"日本 \U00013000": TOP})
    assert report.run(results.root, tmp_path / "out", pseudonymise=False, made=MADE) == 0
    assert "日本" in text_of(tmp_path / "out" / "report-日本 \U00013000.pdf")


def test_the_case_stands_on_the_page_and_its_free_text_only_beside_names(tmp_path: Path) -> None:
    results = scored_results(tmp_path, {"s": TOP}, patients={"s": "P7"})
    founding = {
        **FOUNDING,
        "patient_id": "P7",
        "primary_tumour": "cervix of Jane Doe #panic()",
        "volume_ml": "4",
    }
    cases = write_cases(tmp_path / "cases.csv", [founding])
    assert report.run(results.root, tmp_path / "a", made=MADE, cases=cases) == 0
    text = " ".join(text_of(next((tmp_path / "a").glob("*.pdf"))).split())
    assert "Opening pressure 250 mmH2O (range 60 to 250)" in text
    assert "CSF protein 0.75 g/L (range < 0.5) – see note" in text
    assert "Evidence level (EANO-ESMO) confirmed" in text
    assert "EANO-ESMO asks for at least 5 mL" in text
    assert "does not exclude large-cell: only 46 %" in text
    assert "Doe" not in text
    assert "reader-1" not in text
    assert report.run(results.root, tmp_path / "b", made=MADE, cases=cases, pseudonymise=False) == 0
    named = " ".join(text_of(tmp_path / "b" / "report-s.pdf").split())
    assert "cervix of Jane Doe #panic()" in named
    assert "signed by reader-1" in named

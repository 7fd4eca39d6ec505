"""Fine-tuning the cell finder: agreement of readers, samples, targets, folds, and the whole command on painted slides."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
import torch
from torch.nn import functional

from inkdot.cell_finder.finder_files import SHIPPED, read_finder, read_finder_file
from inkdot.errors import StorageError, UserError
from inkdot.labels import CELL, NOT_A_CELL
from inkdot.stages.cell_finder import fine_tune as cell_finder_fine_tune
from inkdot.stages.cell_finder import show as cell_finder_show
from inkdot.storage.tables.finder_corrections import FinderCorrection, write_finder_corrections
from inkdot.training.cell_finder.distillation import FineTuneSettings, _targets
from inkdot.training.cell_finder.held_out import Share, folds_of
from inkdot.training.cell_finder.objective import finder_loss
from inkdot.training.cell_finder.places import agreed_regions, nuclei_in
from inkdot.training.cell_finder.samples import centre_map, middles_of, random_turn, target_turn, turned_od

SIDE_PX = 1200


def correction(
    x: int, answer: str, reader: str = "dr-a", time: str = "", slide: str = "S1"
) -> FinderCorrection:
    return FinderCorrection(slide, shapely.box(x - 16, 84, x + 16, 116), answer, reader, time)


def test_only_regions_on_which_readers_agree_are_used_and_a_reader_s_later_answer_counts() -> None:
    regions, disagreements = agreed_regions(
        [
            correction(100, NOT_A_CELL),
            correction(102, NOT_A_CELL, "dr-b"),  # the same region after another tiling
            correction(300, NOT_A_CELL),
            correction(300, CELL, "dr-b"),
            correction(500, NOT_A_CELL, time="2026-01-01T00:00:00Z"),
            correction(500, CELL, time="2026-01-02T00:00:00Z"),
            correction(500, NOT_A_CELL, slide="S2"),
        ]
    )
    found = [(one.slide_id, one.answer, one.readers) for one in regions]
    assert found == [
        ("S1", NOT_A_CELL, ("dr-a", "dr-b")),
        ("S1", CELL, ("dr-a",)),
        ("S2", NOT_A_CELL, ("dr-a",)),
    ]
    assert disagreements == 1


def test_a_turned_sample_has_its_point_and_its_targets_where_the_point_is() -> None:
    rgb = np.full((300, 300, 3), 240, np.uint8)
    cv2.circle(rgb, (140, 170), 8, (40, 40, 40), -1)
    for seed in range(8):
        turn = random_turn(np.array([140.0, 170.0]), 0.5, np.random.default_rng(seed))
        od = turned_od(rgb, (240.0, 240.0, 240.0), turn, 0.5)[0]
        y, x = np.nonzero(od > 0.3)
        assert (x.mean(), y.mean()) == pytest.approx((64, 64), abs=1.0)
        assert len(x) == pytest.approx(np.pi * 4**2, rel=0.3)  # the disc at half its size
        assert target_turn(turn) @ [140, 170, 1] == pytest.approx((31.75, 31.75), abs=0.6)


def test_the_centre_map_has_a_summit_per_nucleus() -> None:
    nuclei = np.zeros((64, 64), np.int32)
    cv2.circle(nuclei, (20, 30), 6, 1, -1)
    cv2.circle(nuclei, (50, 10), 4, 2, -1)
    middles = middles_of(nuclei)
    assert middles[:, :2] == pytest.approx(np.array([[20, 30], [50, 10]]))
    assert middles[:, 2] == pytest.approx([6, 4], rel=0.1)
    heat = centre_map(middles, 64)
    assert (heat[30, 20], heat[10, 50]) == (1.0, 1.0)
    assert heat[30, 20 + 4] == pytest.approx(np.exp(-(4**2) / (2 * (0.32 * middles[0, 2]) ** 2)))
    assert len(middles_of(np.zeros((8, 8), np.int32))) == 0


def test_the_loss_is_cross_entropy_and_dice_and_ignores_what_is_not_supervised() -> None:
    torch.manual_seed(0)
    logits, nucleus = torch.randn(2, 2, 8, 8), (torch.rand(2, 8, 8) > 0.5).float()
    centre, supervised = torch.rand(2, 8, 8), torch.zeros(2, 8, 8)
    supervised[:, :4] = 1
    other = logits.clone()
    other[:, :, 4:] = 9.0
    assert finder_loss(logits, nucleus, centre, supervised) == pytest.approx(
        finder_loss(other, nucleus, centre, supervised).item()
    )
    p, heat = torch.sigmoid(logits[:, :, :4]).unbind(1)
    truth, summit = nucleus[:, :4], centre[:, :4]
    dice = 1 - (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)
    focal = ((heat - summit) ** 2 * functional.binary_cross_entropy(heat, summit, reduction="none")).sum()
    expected = functional.binary_cross_entropy(p, truth) + 0.5 * dice + 0.5 * focal / summit.sum()
    assert finder_loss(logits, nucleus, centre, supervised).item() == pytest.approx(expected.item(), rel=1e-5)


def test_targets_are_the_earlier_answers_but_where_readers_corrected_them() -> None:
    known = np.zeros((2, 64, 64), np.float32)
    for x in (12, 32, 52):
        cv2.circle(known[0], (x, 32), 5, 0.7, -1)
        known[1] = np.maximum(known[1], 0.6 * centre_map(np.array([[x, 32, 5]], np.float32), 64))
    no_cell, lone = np.zeros((2, 64, 64), np.uint8)
    no_cell[28:37, 8:17] = 1  # the middle of the first nucleus; 2 µm more are cleared
    lone[26:39, 46:59] = 1
    targets = _targets(known, no_cell, lone, read_finder_file(SHIPPED))
    assert targets[:, 26:39, 6:19].max() == 0.0
    # Nobody answered about the second.
    assert np.allclose(targets[:, :, 22:43], known[:, :, 22:43], atol=1e-5)
    assert (targets[0, 32, 52], targets[1, 32, 52]) == (1.0, 1.0)
    assert targets[0, 32, 60] == 0.0


def test_folds_keep_patients_whole_and_are_of_about_equal_weight() -> None:
    groups = {"a1": "a", "a2": "a", "b": "b", "c": "c", "d": "d"}
    weights = {"a1": 5, "a2": 5, "b": 6, "c": 3, "d": 2}
    assert folds_of(groups, weights, 2) == [{"a1", "a2"}, {"b", "c", "d"}]
    assert len(folds_of(groups, weights, 9)) == 4
    assert folds_of({"a1": "a", "a2": "a"}, weights, 3) == []


def test_a_share_has_its_interval_and_a_nucleus_within_1_um_of_a_region_is_in_it() -> None:
    assert str(Share(2, 60) + Share(1, 0)) == "3 of 60 (0.01 to 0.14)"
    assert str(Share()) == "none"
    middles = np.array([[11.9, 5], [12.1, 5], [5, 5]], np.float32)
    assert nuclei_in(shapely.box(0, 0, 10, 10), middles) == 2


def paint(folder: Path, name: str, seed: int) -> list[tuple[int, int, str]]:
    """A slide of discs with cytoplasm (cells) and brown flakes (not cells); where they are."""
    rng = np.random.default_rng(seed)
    rgb = np.full((SIDE_PX, SIDE_PX, 3), (243, 242, 240), np.float32)
    at = [(x, y) for x in range(120, SIDE_PX - 60, 160) for y in range(120, SIDE_PX - 60, 160)]
    things = [(x, y, CELL if number % 2 else NOT_A_CELL) for number, (x, y) in enumerate(at)]
    for x, y, kind in things:
        if kind == CELL:
            cv2.circle(rgb, (x, y), 14, (200, 190, 215), -1)
            cv2.circle(rgb, (x, y), 9, (95, 60, 130), -1)
        else:
            angle = np.linspace(0, 6.283, 7)[:-1] + rng.random()
            corners = np.stack([np.cos(angle), np.sin(angle)], 1) * rng.uniform(7, 11, (6, 1)) + (x, y)
            cv2.fillPoly(rgb, [corners.astype(np.int32)], (120, 95, 60))
    rgb = cv2.GaussianBlur(rgb, (0, 0), 1.2) + rng.normal(0, 2, rgb.shape)
    cv2.imwrite(str(folder / f"{name}.png"), np.clip(rgb, 0, 255).astype(np.uint8)[..., ::-1])
    return things


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three painted slides of three patients, and what a reader said about half of the things of two of them."""
    folder = tmp_path_factory.mktemp("painted")
    rows: list[list[str]] = []
    corrections: list[FinderCorrection] = []
    for number, name in enumerate(("S1", "S2", "S3")):
        things = paint(folder, name, number)
        for x, y, kind in things[:24] if name != "S3" else []:
            corrections.append(
                FinderCorrection(name, shapely.box(x - 16, y - 16, x + 16, y + 16), kind, "dr-a")
            )
        rows.append([name, f"{name}.png", f"P{number}", "pap", "0.5"])
    with (folder / "slides.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["slide_id", "path", "patient_id", "stain", "mpp"], *rows])
    write_finder_corrections(folder / "corrections.csv", corrections)
    return folder


@pytest.mark.slow
def test_what_is_no_cell_is_no_longer_found_on_a_patient_that_was_left_out(
    painted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "finder"
    cell_finder_fine_tune.run(
        [painted / "corrections.csv"],
        slides=painted / "slides.csv",
        out=out,
        device="cpu",
        settings=FineTuneSettings(steps=25),
    )
    description, weights = read_finder(out)
    assert description.trained_on[-3:] == ["S1", "S2", "S3"]
    assert any(
        not np.array_equal(values, read_finder(SHIPPED)[1][name])
        for name, values in weights.items()
        if name.endswith("weight")
    )
    card = (out / "card.md").read_text(encoding="utf-8")
    rows = {
        line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in card.splitlines() if "|" in line
    }
    before, after = rows["regions without a cell that are called cells"]
    assert int(before.split()[0]) >= 6
    assert after.startswith("0 of 24 (0.00 to 0.14)")
    before, after = rows["regions with a cell in which one is found"]
    assert (int(before.split()[0]), int(after.split()[0])) == (24, 24)
    assert rows["S1"] == ["P0", "12", "12 |"]
    assert "S3" not in rows
    assert int(rows["nuclei on slides without corrections that are still found"][0].split()[1]) >= 8
    assert "## The cell finder it started from\n## Cell finder" in card
    cell_finder_show.run(str(out))
    assert "# Cell finder, fine-tuned" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answers", "slides", "message"),
    [
        ([CELL], "S1.png,pap", "there is nothing to correct"),
        ([NOT_A_CELL], "other.png,pap", "'S1' is missing"),
        ([NOT_A_CELL], "S1.png,silver", "a stain that the cell finder knows"),
    ],
)
def test_nonsense_is_refused_in_one_line_before_any_slide_is_read(
    tmp_path: Path, answers: list[str], slides: str, message: str
) -> None:
    write_finder_corrections(tmp_path / "c.csv", [correction(100, answer) for answer in answers])
    name, stain = slides.split(",")
    (tmp_path / "slides.csv").write_text(
        f"slide_id,path,stain\n{Path(name).stem},{name},{stain}\n", encoding="utf-8"
    )
    with pytest.raises(UserError, match=message) as refused:
        cell_finder_fine_tune.run([tmp_path / "c.csv"], slides=tmp_path / "slides.csv", out=tmp_path / "out")
    assert "\n" not in str(refused.value)


def test_a_full_folder_a_folder_that_is_no_cell_finder_and_regions_off_the_slide_are_refused(
    painted: Path, tmp_path: Path
) -> None:
    table = tmp_path / "c.csv"
    write_finder_corrections(table, [correction(5000, NOT_A_CELL)])
    slides = painted / "slides.csv"
    with pytest.raises(UserError, match="expected a new or empty folder"):
        cell_finder_fine_tune.run([table], slides=slides, out=painted)
    with pytest.raises(StorageError, match="expected the folder of a cell finder"):
        cell_finder_fine_tune.run([table], slides=slides, out=tmp_path / "out", base=str(painted))
    with pytest.raises(
        UserError, match=r"S1: expected regions on the slide of 1200 x 1200 px, found one at x 4984"
    ):
        cell_finder_fine_tune.run([table], slides=slides, out=tmp_path / "out")

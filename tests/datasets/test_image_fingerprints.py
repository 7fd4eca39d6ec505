"""Near-duplicates are found, and other images are not."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from inkdot.datasets.splits.image_fingerprints import NEAR_DUPLICATE, find_near_duplicates, fingerprint

Image = npt.NDArray[np.uint8]


def field(seed: int) -> Image:
    """Cells strewn over glass."""
    generator = np.random.default_rng(seed)
    rgb = np.full((128, 128, 3), 235, np.uint8)
    for _ in range(14):
        x, y, radius = (int(value) for value in generator.integers([0, 0, 4], [128, 128, 14]))
        cv2.circle(rgb, (x, y), radius, generator.integers(40, 160, 3).tolist(), cv2.FILLED)
    return rgb


def pairs(*images: Image, groups: list[str] | None = None) -> list[tuple[int, int]]:
    prints = np.stack([fingerprint(image) for image in images])
    names = np.array(groups or [str(index) for index in range(len(images))])
    return [(pair.first, pair.second) for pair in find_near_duplicates(prints, names)]


def saved_again(rgb: Image) -> Image:
    encoded = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    "copy",
    [
        saved_again,
        lambda rgb: cv2.resize(rgb, (90, 90), interpolation=cv2.INTER_AREA),
        lambda rgb: np.clip(rgb * 0.8 + 20, 0, 255).astype(np.uint8),
        lambda rgb: rgb[:, ::-1],
        lambda rgb: rgb[::-1],
        lambda rgb: np.rot90(rgb),
        lambda rgb: np.rot90(rgb[:, ::-1], 3),
    ],
)
def test_copies_are_found_in_every_orientation(copy) -> None:
    assert pairs(field(0), field(1), copy(field(0)), field(2)) == [(0, 2)]


def test_the_correlation_is_pearsons() -> None:
    first, second = fingerprint(field(0)), fingerprint(saved_again(field(0)))
    (pair,) = find_near_duplicates(np.stack([first, second]), np.array(["a", "b"]))
    assert pair.correlation == pytest.approx(np.corrcoef(first.ravel(), second.ravel())[0, 1], abs=1e-5)


def test_a_fingerprint_is_the_mean_of_each_part() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (50, 67, 3)).astype(np.uint8)
    rows, columns = (np.linspace(0, size, 17).astype(int) for size in (50, 67))
    expected = [
        [rgb[rows[i] : rows[i + 1], columns[j] : columns[j + 1]].mean() for j in range(16)] for i in range(16)
    ]
    np.testing.assert_allclose(fingerprint(rgb), expected, rtol=1e-5)


def test_near_duplicates_within_a_group_are_not_reported() -> None:
    assert pairs(field(0), saved_again(field(0)), groups=["a", "a"]) == []


def test_other_fields_and_empty_glass_are_no_near_duplicates() -> None:
    assert pairs(*(field(seed) for seed in range(60))) == []
    assert pairs(*(np.full((64, 64, 3), 235, np.uint8) for _ in range(3))) == []


def test_a_pair_in_two_blocks_is_found() -> None:
    """More images than fit in one block: the pair lies across two."""
    generator = np.random.default_rng(0)
    prints = generator.normal(120, 30, (1100, 16, 16)).astype(np.float32)
    prints[1099] = prints[3] + 5
    found = find_near_duplicates(prints, np.array([str(index) for index in range(1100)]))
    assert [(pair.first, pair.second) for pair in found] == [(3, 1099)]


@pytest.mark.real_data
@pytest.mark.slow
def test_real_pap_images_hold_two_pairs_in_different_groups(real_data) -> None:
    """Centres of 288 px of all 2,246; the next pair is well below the limit."""
    rows = (real_data / "lbc" / "images.csv").read_text(encoding="utf-8").splitlines()[1:]
    prints, names = [], []
    for row in rows:
        path, _, original, _ = row.split(",")
        rgb = cv2.imread(str(real_data / "lbc" / path))[..., ::-1]
        top, left = (rgb.shape[0] - 288) // 2, (rgb.shape[1] - 288) // 2
        prints.append(fingerprint(rgb[top : top + 288, left : left + 288]))
        names.append(original)
    found = find_near_duplicates(np.stack(prints), np.array(names), min_correlation=0.8)
    sure = {frozenset((names[a], names[b])) for a, b, correlation in found if correlation >= NEAR_DUPLICATE}
    assert sure == {frozenset(("nl_21_ (2)", "nl_21_ (5)")), frozenset(("nl_2_ (5)", "nl_2_ (6)"))}
    assert max(pair.correlation for pair in found if pair.correlation < NEAR_DUPLICATE) < 0.85

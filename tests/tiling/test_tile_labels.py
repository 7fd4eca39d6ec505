import numpy as np
import pytest
import shapely

from inkdot.config import LabellingConfig
from inkdot.labels import DEFAULT_HEADS, Head
from inkdot.storage.tables.labels_table import RegionLabel
from inkdot.tiling.tile_labels import TileBoxes, target_columns_for

RULES = LabellingConfig(min_region_fraction=0.5, min_tile_fraction=0.25)
# Four tiles of 100 px in a row, without overlap.
ROW = TileBoxes(np.array([0, 100, 200, 300]), np.zeros(4, np.int64), 100.0, 100.0)
NAN = float("nan")


def said(
    box: tuple[float, float, float, float], label: str, head: str = "malignancy", reader: str = "r1"
) -> RegionLabel:
    return RegionLabel("s", shapely.box(*box), head, label, reader, "annotation")


def targets(
    regions: list[RegionLabel], on_slide: dict[str, str] | None = None, heads=DEFAULT_HEADS, tiles=ROW
):
    columns = target_columns_for(tiles, heads, regions, on_slide or {}, RULES)
    return {name: values.tolist() for name, values in columns.items()}


def malignant(regions: list[RegionLabel], on_slide: dict[str, str] | None = None) -> list[float]:
    found = targets(regions, on_slide)
    for a, b in zip(found["target.malignancy.malignant"], found["target.malignancy.benign"], strict=True):
        assert (np.isnan(a) and np.isnan(b)) or a + b == pytest.approx(1.0)
    return found["target.malignancy.malignant"]


def check(found: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_nothing_said_is_unknown():
    check(malignant([]), [NAN] * 4)


def test_a_region_counts_for_the_tile_that_holds_half_of_it():
    # 20 px wide, 12 of them in the second tile.
    check(malignant([said((92, 10, 112, 30), "malignant")]), [NAN, 1, NAN, NAN])


def test_a_tile_that_holds_less_of_a_malignant_region_is_unknown_even_on_a_benign_slide():
    check(malignant([said((92, 10, 112, 30), "malignant")], {"malignancy": "benign"}), [NAN, 1, 0, 0])


def test_a_tile_that_holds_less_of_a_benign_region_may_still_be_benign_by_its_slide():
    check(malignant([said((92, 10, 112, 30), "benign")], {"malignancy": "benign"}), [0, 0, 0, 0])


def test_a_large_region_labels_the_tiles_it_covers_by_a_quarter():
    # 10 % of the first tile, all of the second, 30 % of the third.
    check(malignant([said((90, 0, 230, 100), "malignant")]), [NAN, 1, 1, NAN])


def test_a_malignant_region_decides_over_benign_ones_in_the_same_tile():
    regions = [said((10 * i, 0, 10 * i + 8, 8), "benign") for i in range(5)]
    check(malignant([*regions, said((60, 60, 80, 80), "malignant")]), [1, NAN, NAN, NAN])


def test_a_malignant_region_decides_over_an_atypical_one():
    both = [said((0, 0, 20, 20), "atypical"), said((60, 60, 80, 80), "malignant")]
    check(malignant(both), [1, NAN, NAN, NAN])
    check(malignant(both[:1]), [0.5, NAN, NAN, NAN])


def test_a_piece_of_a_malignant_region_makes_a_tile_with_a_benign_cell_unknown():
    regions = [said((10, 10, 20, 20), "benign"), said((80, 50, 200, 52), "malignant")]
    check(malignant(regions), [NAN, 1, NAN, NAN])


def test_readers_of_one_region_average():
    region = (10, 10, 30, 30)
    check(malignant([said(region, "malignant"), said(region, "benign", reader="r2")]), [0.5, NAN, NAN, NAN])
    three = [
        said(region, label, reader=str(i)) for i, label in enumerate(["malignant", "malignant", "benign"])
    ]
    check(malignant(three), [2 / 3, NAN, NAN, NAN])


def test_two_readers_outlines_of_one_thing_are_one_region():
    check(
        malignant([said((10, 10, 30, 30), "malignant"), said((11, 9, 31, 31), "benign", reader="r2")]),
        [0.5, NAN, NAN, NAN],
    )


def test_one_readers_overlapping_outlines_are_two_regions():
    check(
        malignant([said((10, 10, 30, 30), "malignant"), said((11, 9, 31, 31), "benign")]), [1, NAN, NAN, NAN]
    )


def test_an_unsure_reader_is_left_out_of_the_mean():
    region = (10, 10, 30, 30)
    check(malignant([said(region, "malignant"), said(region, "unsure", reader="r2")]), [1, NAN, NAN, NAN])


def test_where_everybody_is_unsure_the_tile_is_unknown_on_a_benign_slide_too():
    check(malignant([said((10, 10, 30, 30), "unsure")], {"malignancy": "benign"}), [NAN, 0, 0, 0])


def test_a_benign_slide_is_benign_everywhere_a_malignant_one_unknown():
    check(malignant([], {"malignancy": "benign"}), [0, 0, 0, 0])
    check(malignant([], {"malignancy": "malignant"}), [NAN] * 4)
    check(malignant([], {"malignancy": "atypical"}), [NAN] * 4)


def test_on_a_malignant_slide_regions_keep_their_labels():
    regions = [said((10, 10, 20, 20), "benign"), said((110, 10, 120, 20), "malignant")]
    check(malignant(regions, {"malignancy": "malignant"}), [0, 1, NAN, NAN])


def test_the_slides_morphology_goes_to_its_malignant_tiles_only():
    regions = [
        said((10, 10, 20, 20), "benign"),
        said((110, 10, 120, 20), "malignant"),
        said((210, 10, 220, 20), "atypical"),
    ]
    found = targets(regions, {"malignancy": "malignant", "morphology": "small_cell"})
    check(found["target.morphology.small_cell"], [NAN, 1, NAN, NAN])
    check(found["target.morphology.large_cell"], [NAN, 0, NAN, NAN])


def test_a_regions_own_morphology_stands_over_the_slides():
    regions = [said((10, 10, 20, 20), "malignant"), said((10, 10, 20, 20), "large_cell", "morphology")]
    found = targets(regions, {"morphology": "small_cell"})
    check(found["target.morphology.large_cell"], [1, NAN, NAN, NAN])


def test_a_region_of_indeterminate_morphology_does_not_take_the_slides():
    regions = [said((10, 10, 20, 20), "malignant"), said((10, 10, 20, 20), "indeterminate", "morphology")]
    check(targets(regions, {"morphology": "small_cell"})["target.morphology.small_cell"], [NAN] * 4)


def test_morphology_of_different_clusters_in_a_tile_averages():
    regions = [
        said((10, 10, 20, 20), "malignant"),
        said((10, 10, 20, 20), "small_cell", "morphology"),
        said((40, 40, 60, 60), "large_cell", "morphology"),
    ]
    check(targets(regions)["target.morphology.small_cell"], [0.5, NAN, NAN, NAN])


def test_morphology_is_unknown_where_the_tile_is_benign():
    regions = [said((10, 10, 20, 20), "benign"), said((10, 10, 20, 20), "small_cell", "morphology")]
    check(targets(regions)["target.morphology.small_cell"], [NAN] * 4)


def test_another_laboratorys_head_without_flag_or_condition_takes_the_slides_label():
    species = Head("species", ("cat", "dog"), {"cat": {"cat": 1.0}, "dog": {"dog": 1.0}})
    found = targets([said((110, 10, 120, 20), "dog", "species")], {"species": "cat"}, heads=(species,))
    check(found["target.species.cat"], [1, 0, 1, 1])


def test_heads_may_stand_in_any_order():
    regions = [said((110, 10, 120, 20), "malignant")]
    labels = {"malignancy": "malignant", "morphology": "mixed"}
    assert list(targets(regions, labels, heads=DEFAULT_HEADS[::-1])) != list(targets(regions, labels))
    check(
        targets(regions, labels, heads=DEFAULT_HEADS[::-1])["target.morphology.small_cell"],
        [NAN, 0.5, NAN, NAN],
    )


def test_the_order_of_the_table_changes_nothing():
    rng = np.random.default_rng(5)
    corners = rng.uniform(0, 390, (60, 2))
    regions = [
        said(
            (x, y % 95, x + 15, y % 95 + 12),
            ["malignant", "benign", "atypical", "unsure"][i % 4],
            reader=f"r{i % 3}",
        )
        for i, (x, y) in enumerate(corners)
    ]
    tiles = TileBoxes(np.arange(0, 400, 25), np.zeros(16, np.int64), 100.0, 100.0)
    expected = target_columns_for(tiles, DEFAULT_HEADS, regions, {}, RULES)
    for seed in range(3):
        shuffled = [regions[i] for i in np.random.default_rng(seed).permutation(len(regions))]
        for name, values in target_columns_for(tiles, DEFAULT_HEADS, shuffled, {}, RULES).items():
            np.testing.assert_array_equal(values, expected[name])


def test_agrees_with_the_rules_told_tile_by_tile():
    """One reader, regions that do not overlap: the rules as loops over plain rectangles."""
    rng = np.random.default_rng(11)
    cells = rng.permutation(100)[:40]
    regions, boxes, labels = [], [], []
    for cell in cells:
        x, y = 60.0 * (cell % 10) + rng.uniform(0, 20), 60.0 * (cell // 10) + rng.uniform(0, 20)
        box = (x, y, x + rng.uniform(5, 39), y + rng.uniform(5, 39))
        label = str(rng.choice(["malignant", "benign", "atypical", "unsure"]))
        regions.append(said(box, label))
        boxes.append(box)
        labels.append(label)
    grid = [(x, y) for y in range(0, 560, 40) for x in range(0, 560, 40)]
    tiles = TileBoxes(np.array([x for x, _ in grid]), np.array([y for _, y in grid]), 64.0, 64.0)
    weight = {"malignant": 1.0, "benign": 0.0, "atypical": 0.5}
    expected = []
    for tx, ty in grid:
        counting, blocked = [], False
        for (x0, y0, x1, y1), label in zip(boxes, labels, strict=True):
            shared = max(0.0, min(x1, tx + 64) - max(x0, tx)) * max(0.0, min(y1, ty + 64) - max(y0, ty))
            if shared == 0.0:
                continue
            counts = shared >= 0.5 * (x1 - x0) * (y1 - y0) or shared >= 0.25 * 64 * 64
            if label == "unsure" or (not counts and weight[label] > 0):
                blocked = True
            elif counts:
                counting.append(weight[label])
        best = max(counting, default=0.0 if not blocked else NAN)
        expected.append(NAN if blocked and not best > 0 else best)
    found = target_columns_for(tiles, DEFAULT_HEADS, regions, {"malignancy": "benign"}, RULES)
    np.testing.assert_allclose(found["target.malignancy.malignant"], expected)
    assert 10 < np.isnan(expected).sum() < 100


def test_no_tiles_give_no_targets():
    nothing = TileBoxes(np.zeros(0, np.int64), np.zeros(0, np.int64), 100.0, 100.0)
    assert targets([said((0, 0, 9, 9), "benign")], tiles=nothing)["target.malignancy.benign"] == []


def test_conditions_in_a_circle_are_an_error():
    a = Head("a", ("x", "y"), {}, condition=("b", "x"))
    b = Head("b", ("x", "y"), {}, condition=("a", "x"))
    with pytest.raises(ValueError, match="circle"):
        target_columns_for(ROW, (a, b), [], {}, RULES)

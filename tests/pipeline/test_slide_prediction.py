"""A slide with too little to judge is inadequate, whatever its scores: it never passes for negative."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from inkdot.labels import DEFAULT_HEADS
from inkdot.pipeline.results.slide_prediction import slide_prediction
from inkdot.records import TileSpec
from inkdot.storage.models.model_records import AbstentionBand, Interval, OperatingPoint
from inkdot.storage.models.slide_score_rule import SlideScoreRule
from inkdot.storage.schemas import cluster_scores_schema, scores_schema
from inkdot.storage.tables.cluster_scores import ClusterScores
from inkdot.storage.tables.scores import SlideScores
from inkdot.units import MicrometresPerPixel, TilePx

ENOUGH = {
    "adequate": True,
    "why": "",
    "nuclei_in_focus": 312,
    "assessable_mm2": 301.23,
    "unassessable_fraction": 0.041,
}
TOO_FEW = {
    **ENOUGH,
    "adequate": False,
    "why": "7 nucleated cells in focus, 20 are needed",
    "nuclei_in_focus": 7,
}


def point(threshold: float) -> OperatingPoint:
    return OperatingPoint.model_construct(
        **{**dict.fromkeys(OperatingPoint.model_fields), "threshold": threshold}
    )


def abstained(low: float | None, high: float | None) -> AbstentionBand:
    metric = Interval(value=0.9, low=0.8, high=1.0, method="by hand")
    return AbstentionBand(
        low=low,
        high=high,
        target_selective_risk=0.05,
        selective_risk=metric,
        coverage=metric,
        evaluated_on="slides",
    )


def scores(malignant: list[float], assessment: dict[str, object]) -> SlideScores:
    schema = scores_schema(DEFAULT_HEADS)
    columns = {name: [None] * len(malignant) for name in schema.names}
    columns |= {"x_l0_px": list(range(len(malignant))), "y_l0_px": [0] * len(malignant)}
    columns |= {name: [0.5] * len(malignant) for name in schema.names if name.startswith("p.")}
    columns |= {"foreground_fraction": [0.2] * len(malignant), "p.malignancy.malignant": malignant}
    columns["p.malignancy.benign"] = (1.0 - np.array(malignant)).tolist()
    return SlideScores(
        table=pa.Table.from_pydict(columns, schema=schema),
        slide={},
        heads=DEFAULT_HEADS,
        spec=TileSpec(TilePx(256), MicrometresPerPixel(0.25), TilePx(128)),
        operating_points={"malignancy": point(0.8)},
        warnings=(),
        synthetic_model=False,
        assessment=assessment,
    )


@pytest.mark.parametrize(("highest", "call"), [(0.3, "nothing flagged"), (0.9, "flagged")])
def test_with_enough_to_judge_the_scores_decide(highest, call):
    said = slide_prediction("one", scores([0.1, highest], ENOUGH))
    assert (said.call, said.reason) == (call, "")
    assert (said.nuclei_in_focus, said.assessable_mm2, said.unassessable_fraction) == (
        "312",
        "301.2",
        "0.0410",
    )


@pytest.mark.parametrize("highest", [0.0, 0.3])
def test_too_few_cells_are_never_nothing_flagged(highest):
    said = slide_prediction("one", scores([0.0, highest], TOO_FEW))
    assert said.call == "inadequate"
    assert said.reason == "7 nucleated cells in focus, 20 are needed"


def test_what_was_flagged_on_an_inadequate_slide_is_said():
    said = slide_prediction("one", scores([0.1, 0.95, 0.97], TOO_FEW))
    assert said.call == "inadequate"
    assert said.reason.startswith("7 nucleated cells")
    assert "2 regions were flagged all the same" in said.reason
    assert said.flagged_tiles == 2


def test_scores_of_before_are_judged_by_their_scores():
    assert slide_prediction("one", scores([0.1], {})).call == "nothing flagged"


@pytest.mark.parametrize(
    ("highest", "call"),
    [
        (0.6, "nothing flagged"),
        (0.61, "indeterminate"),
        (0.89, "indeterminate"),
        (0.9, "flagged"),
    ],
)
def test_scores_between_the_locked_edges_are_left_open_and_say_why(highest, call):
    model = replace(scores([0.1, highest], ENOUGH), abstention={"malignancy": abstained(0.6001, 0.9)})
    said = slide_prediction("one", model)
    assert said.call == call
    assert ("between 0.6001 and 0.9" in said.reason) == (call == "indeterminate")
    assert said.flagged_tiles == (highest >= 0.8)  # regions are flagged all the same
    assert slide_prediction("one", replace(model, assessment=TOO_FEW)).call == "inadequate"


@pytest.mark.parametrize(
    ("certain", "label"), [(0.75, "small-cell-like"), (0.95, "indeterminate"), (None, "indeterminate")]
)
def test_morphology_is_labelled_from_the_locked_score_on(certain, label):
    own = scores([0.9], ENOUGH)
    index = own.table.schema.get_field_index
    table = own.table
    for name, value in (("p.morphology.small_cell", 0.9), ("p.morphology.large_cell", 0.1)):
        table = table.set_column(index(name), table.schema.field(name), pa.array([value], pa.float32()))
    own = replace(own, table=table, abstention={"morphology": abstained(None, certain)})
    assert slide_prediction("one", own).further_calls == f"morphology: {label}"


def test_each_of_several_warnings_can_be_told_from_the_next():
    texts = (
        "stain 'mgg' was never seen in training; the model saw pap",
        "preparation not stated; the model saw smear",
    )
    said = slide_prediction("one", replace(scores([0.1], ENOUGH), warnings=texts))
    assert tuple(said.warnings.split(" | ")) == texts


@pytest.mark.parametrize(
    ("keep", "highest", "call"),
    [
        (False, 0.9, "indeterminate"),
        (False, 0.1, "indeterminate"),
        (True, 0.9, "flagged"),
        (True, 0.1, "nothing flagged"),
    ],
)
def test_a_slide_unlike_those_of_training_is_called_only_where_asked(keep, highest, call):
    unlike = ("stain 'he' was never seen in training",)
    said = slide_prediction(
        "one", replace(scores([0.05, highest], ENOUGH), ood_reasons=unlike, keep_ood_calls=keep)
    )
    assert said.call == call
    assert ("stain 'he' was never seen" in said.reason) == (not keep)
    assert ("1 regions reach the threshold" in said.reason) == (not keep and highest == 0.9)


def test_too_little_to_judge_goes_before_being_unlike():
    unlike = replace(scores([0.05], TOO_FEW), ood_reasons=("stain",), keep_ood_calls=False)
    assert slide_prediction("one", unlike).call == "inadequate"


def with_rule(values: list[float], clusters: list[int] | None = None) -> SlideScores:
    """Tiles of a slide, and a model that lowers logits by 0.5 for each factor of e above ten of them."""
    rule = SlideScoreRule(
        slope=0.5,
        reference_count=10.0,
        lowest_count=2,
        highest_count=1000,
        fitted_on="validation",
        slides=9,
        patients=9,
    )
    own = replace(scores(values, ENOUGH), slide_score_rule=rule)
    if clusters is None:
        return own
    index = own.table.schema.get_field_index("cluster_id")
    return replace(
        own, table=own.table.set_column(index, own.table.schema.field(index), pa.array(clusters, pa.int32()))
    )


def test_of_many_tiles_the_highest_counts_for_less():
    # The logit of 0.9 is 2.197; 200 tiles lower it by 0.5 ln 20 = 1.498.
    said = slide_prediction("one", with_rule([0.1] * 199 + [0.9]))
    assert float(said.score) == pytest.approx(1.0 / (1.0 + np.exp(1.4979 - 2.1972)), abs=1e-4)
    assert (said.call, said.flagged_tiles) == ("nothing flagged", 0)


def test_of_few_tiles_it_counts_for_more():
    said = slide_prediction("one", with_rule([0.1, 0.7]))  # 0.8473 + 0.5 ln 5 = 1.6520 is the logit of 0.8392
    assert (said.score, said.call, said.flagged_tiles) == ("0.8392", "flagged", 1)


def test_tiles_of_one_cluster_count_once():
    clusters = [0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert with_rule([0.5] * 13, clusters).count == 10
    said = slide_prediction("one", with_rule([0.1] * 12 + [0.85], clusters))
    assert (said.score, said.call) == ("0.8500", "flagged")


@pytest.mark.parametrize("count", [1, 2, 9, 77, 1000, 4000])
@pytest.mark.parametrize("highest", [0.05, 0.6, 0.79, 0.8, 0.81, 0.95, 0.9999, 1.0])
def test_a_slide_is_flagged_where_one_of_its_tiles_is(highest, count):
    own = with_rule([0.01] * (count - 1) + [highest])
    said = slide_prediction("one", own)
    assert (said.call == "flagged") == (said.flagged_tiles == 1) == bool(own.flagged.any())
    assert (said.call == "flagged") == (
        float(own.slide_score_rule.corrected(highest, count)) >= np.float32(0.8)
    )


def test_the_band_is_of_corrected_scores():
    own = with_rule([0.1] * 199 + [0.93])  # 0.7484 of so many
    own = replace(own, abstention={"malignancy": abstained(0.7, 0.8)})
    assert slide_prediction("one", own).call == "indeterminate"
    assert slide_prediction("one", replace(own, slide_score_rule=None)).call == "flagged"


THRESHOLD = np.float32(0.8)
BELOW = float(np.nextafter(THRESHOLD, np.float32(0.0)))


def clusters_of(malignant: list[float | None]) -> ClusterScores:
    """Clusters with these scores, None without a tile; the top tile of each is the row of its number."""
    schema = cluster_scores_schema(DEFAULT_HEADS)
    columns = {name: [None] * len(malignant) for name in schema.names}
    columns |= {"cluster_id": list(range(len(malignant))), "top_tile_row": list(range(len(malignant)))}
    columns |= {"p.malignancy.malignant": malignant}
    columns |= {
        f"p.morphology.{name}": [None if value is None else 0.9 * own for value in malignant]
        for name, own in (("small_cell", 1.0), ("large_cell", 0.0))
    }
    nullable = pa.schema([field.with_nullable(True) for field in schema])
    table = pa.Table.from_pydict(columns, schema=nullable)
    return ClusterScores(table, DEFAULT_HEADS, {}, "max", "", "", "", {"warnings": []})


@pytest.mark.parametrize(("highest", "call", "flagged"), [(0.8, "flagged", 1), (BELOW, "nothing flagged", 0)])
def test_the_very_score_that_set_the_threshold_is_flagged(highest, call, flagged):
    said = slide_prediction("one", scores([0.1, highest], ENOUGH))
    assert (said.call, said.flagged_tiles, said.clusters, said.flagged_clusters) == (call, flagged, "", "")
    assert bool(said.further_calls) == (call == "flagged")


@pytest.mark.parametrize(("highest", "call", "flagged"), [(0.8, "flagged", 1), (BELOW, "nothing flagged", 0)])
def test_so_is_a_cluster_with_that_score(highest, call, flagged):
    # Tile 2, which is no cluster's, must not decide.
    said = slide_prediction("one", scores([0.1, 0.2, 0.99], ENOUGH), clusters_of([None, highest]))
    assert (said.call, said.clusters, said.flagged_clusters) == (call, "2", str(flagged))
    assert said.score == "0.8000"
    assert (said.top_x_l0_px, said.tiles, said.flagged_tiles) == ("1", 3, 1)
    assert said.further_calls == ("morphology: small-cell-like" if flagged else "")


@pytest.mark.parametrize(("pooled", "call"), [(0.8, "flagged"), (BELOW, "nothing flagged")])
def test_so_is_a_slide_with_that_score_by_attention(pooled, call):
    attention = OperatingPoint.model_construct(
        **{**dict.fromkeys(OperatingPoint.model_fields), "threshold": 0.8, "evaluated_on": "attention"}
    )
    own = replace(scores([0.1, 0.99], ENOUGH), operating_points={"malignancy": attention}, mil_score=pooled)
    assert slide_prediction("one", own).call == call


def test_the_spread_of_an_ensemble_is_that_of_the_highest_tile_or_cluster_or_of_the_pooled_scores():
    own = scores([0.1, 0.9, 0.5], ENOUGH)
    own = replace(own, table=own.table.append_column("spread", pa.array([0.01, 0.02, 0.03], pa.float32())))
    assert slide_prediction("one", own).spread == "0.0200"
    assert slide_prediction("one", own, clusters_of([0.3, None, 0.4])).spread == "0.0300"
    assert slide_prediction("one", replace(own, member_slide_scores=(0.2, 0.4))).spread == "0.1000"
    assert slide_prediction("one", scores([0.1], ENOUGH)).spread == ""


@pytest.mark.parametrize("clusters", [None, []])
def test_a_slide_without_a_tile_is_inadequate(clusters):
    given = None if clusters is None else clusters_of(clusters)
    said = slide_prediction("one", scores([], ENOUGH), given)
    assert (said.call, said.reason, said.outcome) == ("inadequate", "no tile with foreground", "done")
    assert (said.clusters, said.flagged_clusters) == (("", "") if clusters is None else ("0", "0"))
    assert (said.nuclei_in_focus, said.assessable_mm2, said.unassessable_fraction) == (
        "312",
        "301.2",
        "0.0410",
    )
    assert slide_prediction("one", scores([], TOO_FEW), given).reason.startswith("7 nucleated cells")


def test_a_morphology_is_the_mean_over_flagged_regions_alone():
    own = scores([0.95, 0.9, 0.1], ENOUGH)
    for name, values in (("small_cell", [0.9, 0.7, 0.0]), ("large_cell", [0.1, 0.3, 1.0])):
        index = own.table.schema.get_field_index(f"p.morphology.{name}")
        field = own.table.schema.field(index)
        own = replace(own, table=own.table.set_column(index, field, pa.array(values, pa.float32())))
    assert slide_prediction("one", own).further_calls == "morphology: small-cell-like"  # 0.8 of two tiles
    own = replace(own, abstention={"morphology": abstained(None, 0.81)})
    assert slide_prediction("one", own).further_calls == "morphology: indeterminate"


def test_a_table_made_before_there_was_a_choice_keeps_its_call():
    assert slide_prediction("one", replace(scores([0.9], ENOUGH), ood_reasons=("stain",))).call == "flagged"

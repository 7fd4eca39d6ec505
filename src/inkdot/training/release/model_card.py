"""``card.md``: the model card, in the sections of Mitchell et al. 2019 (doi:10.1145/3287560.3287596).

It holds what is recorded, and nothing that is not.
"""

from collections.abc import Sequence

from inkdot.metrics.calibration import MAX_TEMPERATURE
from inkdot.metrics.intervals.confidence_intervals import TOO_FEW
from inkdot.storage.models.model_files import ModelFile
from inkdot.storage.models.model_records import AbstentionBand, Interval, OperatingPoint
from inkdot.training.release.ood_card import ood_text
from inkdot.training.release.reporting_checklist import open_items
from inkdot.training.release.slide_score import ONLY_MAX

_NEAR = 0.99

_INTENDED_USE = (
    "**For Research Use Only. Not for use in diagnostic procedures.** The model ranks regions for a person to look at. "
    "Nothing flagged does not exclude malignancy."
)
_SYNTHETIC = (
    "> **SYNTHETIC.** This model was trained on synthetic specimens. Its metrics (`selftest_`) test the program and are no "
    "evidence for real cells. It refuses real slides unless `--allow-synthetic-model` is given."
)

_SLIDE_METRICS = (
    " `auc` is of tiles, and too optimistic for slides; `whole_slide` metrics are of all tiles of the slides, as in "
    "`inkdot predict`."
)

_OF_VALIDATION = (
    "Of patients that this training did not use. The temperatures and the threshold (and the epoch, where the best was kept) "
    "were chosen on them: expect lower metrics on new patients. Intervals are 95 %."
)
_OF_MEMBERS = (
    "Out-of-fold: each patient is scored by the one member that was trained and validated without him. So these metrics, the "
    "threshold and the abstention band are of single members. The mean of all members has been measured on no patient: every "
    "patient here trained some of them. It tends to rank at least as well as one member, but lies less often near 0 and 1, so "
    "at the same threshold its sensitivity and specificity may differ: check them on other patients with `inkdot evaluate`. "
    "Intervals are 95 %."
)
_OF_CALIBRATION_FOLDS = (
    " Not so the threshold, the abstention band and what is measured at them: these rest on out-of-fold scores of all patients, "
    "each scored by a further model that was trained without him (`training.calibration_folds`)."
)

_UNKNOWN_SCALE = (
    "> **Unknown scale.** The training images have no micrometres per pixel, so the scale of slides for this model is not "
    "known. It refuses slides unless this is overridden."
)


def card_text(
    description: ModelFile,
    notes: Sequence[str],
    training: Sequence[str] = (),
    performance: Sequence[str] = (),
) -> str:
    """The card as Markdown.

    Args:
        description: The model, with its weights' hash.
        notes: Further lines on the cohort and the training.
        training: Lines on the training procedure.
        performance: Further lines on the performance, such as subgroups.
    """
    cohort = description.trained_on
    parts = ["# Model card", "## Intended use", _INTENDED_USE]
    if cohort.synthetic:
        parts.append(_SYNTHETIC)
    if not description.mpp_known:
        parts.append(_UNKNOWN_SCALE)
    parts += [
        "## Model",
        _bullets(
            [
                f"{_network(description)}, made with Inkdot {description.inkdot}.",
                *([description.licence] if description.licence else []),
                f"{_scale(description)}, preparation {description.preparation}.",
                *(f"Head {head.name}: {', '.join(head.classes)}." for head in description.heads),
                f"Weights `{description.weights_sha256[:16]}`, config `{description.config_sha256[:16]}` (SHA-256).",
            ]
        ),
        "## Training data",
        _bullets([*_data_lines(description), *notes]),
        "## Performance on validation data",
        _measured_on(description) + ("" if cohort.images else _SLIDE_METRICS),
        _table(description),
        *([_bullets(performance)] if performance else []),
        "## Abstention",
        "\n\n".join(_band(name, own, description) for name, own in sorted(description.abstention.items()))
        or "The model never abstains on the flagging head.",
        "## Calibration",
        f"Score temperatures: {_temperatures(description)}. "
        "Scores are calibrated for classes in equal shares, not for any population."
        + _at_the_limit(description),
        "## Out-of-distribution slides",
        ood_text(description),
        *(["## Training procedure", _bullets(training)] if training else []),
        "## Limitations and items for a person to complete",
        _bullets(open_items()),
    ]
    return "\n\n".join(parts) + "\n"


def backbone_text(description: ModelFile) -> str:
    """The backbone in a few words: its architecture, and the encoder's name where it has one."""
    text = f"{description.encoder} ({description.backbone})" if description.encoder else description.backbone
    return (
        f"{text}, tiles resized to {description.input_px} px in the network" if description.input_px else text
    )


def _measured_on(description: ModelFile) -> str:
    """Whose scores the metrics, the threshold and the band rest on."""
    if description.members:
        return _OF_MEMBERS
    points = description.operating_points.values()
    crossed = any(own.guarantee is not None and own.guarantee.scores == "out_of_fold" for own in points)
    return _OF_VALIDATION + (_OF_CALIBRATION_FOLDS if crossed else "")


def _data_lines(description: ModelFile) -> list[str]:
    cohort = description.trained_on
    counts = (f"{name} {count:g}" for name, count in sorted(cohort.tiles_per_class.items()))
    return [
        f"{cohort.slides} {'images' if cohort.images else 'slides'} of {cohort.patients} "
        f"{'groups' if cohort.images else 'patients'}, training and validation together.",
        f"Training tiles: {', '.join(counts)}.",
        f"Preparations: {_listed(cohort.preparations)}. Stains: {_listed(cohort.stains)}. "
        f"Sites: {cohort.sites or 'not stated'}. Scanners: {cohort.scanners or 'not stated'}. {_scanned(description)}",
    ]


def _network(description: ModelFile) -> str:
    count = len(description.members)
    name = backbone_text(description)
    return f"Ensemble of {count}, each {name}" if count else f"Backbone {name}"


def _temperatures(description: ModelFile) -> str:
    """Of one network; of an ensemble from the lowest to the highest member."""
    if not description.members:
        return ", ".join(f"{name} {value:g}" for name, value in sorted(description.temperatures.items()))
    values = {
        head.name: [member.temperatures.get(head.name, 1.0) for member in description.members]
        for head in description.heads
    }
    spans = (f"{name} {min(own):.3g} to {max(own):.3g}" for name, own in sorted(values.items()))
    return f"{', '.join(spans)}, by member"


def _pooled_tiles(description: ModelFile, point: OperatingPoint) -> str:
    every = point.scored_from == "all_tiles" or description.members
    return "all tiles" if every else "the tiles that training used"


def _at_the_limit(description: ModelFile) -> str:
    """Heads whose temperature is at its upper limit."""
    flat = sorted(name for name, value in description.temperatures.items() if value > MAX_TEMPERATURE * _NEAR)
    if not flat:
        return ""
    return f" At {MAX_TEMPERATURE:g}, the upper limit: the scores of {', '.join(flat)} hardly separate the validation data."


def _scanned(description: ModelFile) -> str:
    span = description.trained_on.mpp_range
    if not span:
        return "Scale as scanned: not known."
    finest, coarsest = (f"{mpp:.4g}" for mpp in span)
    return (
        f"Scanned at {finest} µm/px." if finest == coarsest else f"Scanned at {finest} to {coarsest} µm/px."
    )


def _scale(description: ModelFile) -> str:
    tiling = description.tiling
    if not description.mpp_known:
        return f"Images scaled to {tiling.side_px} px"
    return f"Tiles of {tiling.side_px} px at {tiling.mpp:g} µm/px ({tiling.spec.side_um:g} µm)"


def _table(description: ModelFile) -> str:
    prefix = "selftest_" if description.trained_on.synthetic else "validation_"
    units = _units(description)
    rows = ["| metric | value | 95 % interval | method |", "| --- | --- | --- | --- |"]
    rows += [_row(name, metric) for name, metric in sorted(description.validation_metrics.items())]
    for head, point in sorted(description.operating_points.items()):
        where = f"{head}.{point.class_name} at {point.threshold:.4g}"
        for name, metric in (("sensitivity", point.sensitivity), ("specificity", point.specificity)):
            if metric is not None:
                rows.append(_row(f"{prefix}{name} ({units}) of {where}", metric))
        rows.append(f"\n{_promise(point, description)}")
        if description.attention is not None and description.attention.aggregator == "transmil":
            rows.append(
                f"\nA slide's score is by the transformer over {_pooled_tiles(description, point)}. Scores of tiles are not "
                "made from it: they rank regions, and a flagged slide may have no tile at or above the threshold."
            )
        elif point.evaluated_on == "attention":
            rows.append(
                f"\nA slide's score is by attention over {_pooled_tiles(description, point)}. Scores of tiles are "
                "calibrated as those of slides: they rank regions, and are no probabilities of tiles."
            )
        elif point.scored_from == "all_tiles":
            how = description.slide_score_rule.in_words if description.slide_score_rule else f"{ONLY_MAX}."
            rows.append(f"\n{how} All tiles are scored, as in `inkdot predict`.")
        elif not description.trained_on.images:
            rows.append(
                "\nA slide's score is that of its highest labelled tile: on whole slides expect a lower specificity."
            )
    return "\n".join(rows)


def _promise(point: OperatingPoint, description: ModelFile) -> str:
    """What is promised of the threshold, and on how many patients that rests."""
    own, target = point.guarantee, point.target_sensitivity
    if own is None:
        return (
            f"The threshold reached a sensitivity of {target:g} on validation data. What holds for further patients is not "
            "known: the model was made before that was recorded."
        )
    who = "groups" if description.trained_on.images else "patients"
    scored = ", each scored by a model trained without him" if own.scores == "out_of_fold" else ""
    rests = f"{own.patients} positive {who}{scored}"
    if own.locked:
        return (
            f"With a confidence of {own.confidence:g} the sensitivity on further {who} like these is at least {target:g}: "
            f"the threshold is a tolerance limit of {rests}."
        )
    return (
        f"**{point.lock_note[0].upper()}{point.lock_note[1:]}.** The threshold reaches {target:g} on average at best. With a "
        f"confidence of {own.confidence:g} the sensitivity is at least {own.bound:.2f}, from {rests}."
    )


def _band(head: str, band: AbstentionBand, description: ModelFile) -> str:
    """Scores of a head that get no call, with the coverage and selective risk of the rest."""
    units = "tiles" if band.evaluated_on == "tiles" else _units(description)
    if band.high is None:
        return (
            f"Head {head}: always `indeterminate`: even the most confident calls on validation {units} were wrong more often "
            f"than in {band.target_selective_risk:g} of them."
        )
    which = (
        f"scores below {band.high:.4g}"
        if band.low is None
        else f"{units} with scores between {band.low:.4g} and {band.high:.4g}"
    )
    risk = f" {_with_interval(band.selective_risk)} of these calls were wrong." if band.selective_risk else ""
    return (
        f"Head {head}: the model abstains (`indeterminate`) on {which}{_risk_promise(band, units)} "
        f"It made a call on {_with_interval(band.coverage)} of these {units}.{risk}"
    )


def _risk_promise(band: AbstentionBand, units: str) -> str:
    own, target = band.guarantee, band.target_selective_risk
    if own is None:
        return f", so that {target:g} of its calls on validation {units} are wrong at most; on further ones more may be."
    if own.locked:
        return (
            f". With a confidence of {own.confidence:g} at most {target:g} of its calls on further patients like these, with the "
            "same share of positive ones, are wrong."
        )
    return (
        f", so that {target:g} of its calls on validation {units} are wrong at most. **Nothing is guaranteed for further ones**: "
        f"with a confidence of {own.confidence:g} no more can be said than that at most {own.bound:.2f} are."
    )


def _with_interval(metric: Interval) -> str:
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f}; {metric.method})"


def _units(description: ModelFile) -> str:
    return "images" if description.trained_on.images else "slides"


def _row(name: str, metric: Interval) -> str:
    interval = "not known" if metric.method == TOO_FEW else f"{metric.low:.3f} to {metric.high:.3f}"
    return f"| {name} | {metric.value:.3f} | {interval} | {metric.method} |"


def _bullets(lines: Sequence[str]) -> str:
    # Text of a manifest (sites, scanners) must not become markup.
    return "\n".join(f"- {' '.join(line.split()).replace('|', '¦')}" for line in lines)


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values) or "not stated"

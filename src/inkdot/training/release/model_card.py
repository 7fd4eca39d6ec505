"""``card.md``: what a person should know before using a model. Short, and nothing in it is invented."""

from collections.abc import Sequence

from inkdot.metrics.calibration import HOTTEST
from inkdot.metrics.confidence_intervals import TOO_FEW
from inkdot.storage.model_files import AbstentionBand, Interval, ModelFile
from inkdot.training.release.reporting_checklist import open_heads

_NEAR = 0.99

_RESEARCH_USE = (
    "**For Research Use Only. Not for use in diagnostic procedures.** The model ranks regions for a person to look at. "
    "Nothing flagged does not exclude malignancy."
)
_SYNTHETIC = (
    "> **SYNTHETIC.** This model was trained on painted specimens. Its metrics are a self-test of the program "
    "(`selftest_`), say nothing about real cells, and it refuses real slides unless told otherwise."
)

_UNKNOWN_SCALE = (
    "> **Unknown scale.** The images it learned from state no micrometres per pixel, so nobody knows at which scale "
    "slides would have to be cut for it: it refuses slides unless told otherwise."
)


def card_text(
    description: ModelFile,
    notes: Sequence[str],
    making: Sequence[str] = (),
    worth: Sequence[str] = (),
) -> str:
    """The card as Markdown.

    Args:
        description: The model, with its weights' hash.
        notes: Further lines on the cohort and the training, in plain words.
        making: How it was made, one line each.
        worth: Further lines on what it is worth, such as its subgroups.
    """
    seen = description.trained_on
    parts = ["# Model card", _RESEARCH_USE]
    if seen.synthetic:
        parts.append(_SYNTHETIC)
    if not description.mpp_known:
        parts.append(_UNKNOWN_SCALE)
    parts += [
        "## What it is",
        _bullets(
            [
                f"Backbone {description.backbone}, made with Inkdot {description.inkdot}.",
                f"{_scale(description)}, preparation {description.preparation}.",
                *(f"Head {head.name}: {', '.join(head.classes)}." for head in description.heads),
                "Score temperatures: "
                + ", ".join(f"{name} {value:g}" for name, value in sorted(description.temperatures.items()))
                + ". Scores are calibrated for classes in equal shares, not for any population."
                + _at_the_limit(description),
            ]
        ),
        "## What it saw",
        _bullets(
            [
                f"{seen.slides} {'images' if seen.images else 'slides'} of {seen.patients} "
                f"{'groups' if seen.images else 'patients'}, training and validation together.",
                "Training tiles: "
                + ", ".join(f"{name} {count:g}" for name, count in sorted(seen.tiles_per_class.items()))
                + ".",
                f"Preparations: {_words(seen.preparations)}. Stains: {_words(seen.stains)}. "
                f"Sites: {seen.sites or 'not stated'}. Scanners: {seen.scanners or 'not stated'}. {_scanned(description)}",
                *notes,
            ]
        ),
        "## Metrics on validation data",
        "Of patients that the network did not learn from, though the temperatures and the threshold (and the epoch, where the "
        "best was kept) were chosen on them: expect less on new patients. 95 % intervals. `auc` is of tiles, and flatters; "
        "`whole_slide` metrics are of all tiles of the slides, as `inkdot predict` judges them.",
        _table(description),
        *([_bullets(worth)] if worth else []),
        *(["## How it was made", _bullets(making)] if making else []),
        "## For a person to fill in",
        _bullets(open_heads()),
        f"Hashes: weights `{description.weights_sha256[:16]}`, config `{description.config_sha256[:16]}`.",
    ]
    return "\n\n".join(parts) + "\n"


def _at_the_limit(description: ModelFile) -> str:
    """Heads whose scores had to be flattened as far as it goes."""
    flat = sorted(name for name, value in description.temperatures.items() if value > HOTTEST * _NEAR)
    if not flat:
        return ""
    return f" At {HOTTEST:g}, the highest there is, scores of {', '.join(flat)} told next to nothing on validation data."


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
    rows = ["| metric | value | 95 % interval | how |", "| --- | --- | --- | --- |"]
    rows += [_row(name, metric) for name, metric in sorted(description.validation_metrics.items())]
    for head, point in sorted(description.operating_points.items()):
        where = f"{head}.{point.class_name} at {point.threshold:.4g}"
        for name, metric in (("sensitivity", point.sensitivity), ("specificity", point.specificity)):
            if metric is not None:
                rows.append(_row(f"{prefix}{name} ({_units(description)}) of {where}", metric))
        wanted = f"\nThe threshold is the highest at which {point.target_sensitivity:g} of the positive {_units(description)}"
        if point.judged_on == "attention":
            rows.append(
                f"{wanted} score at or above it, by attention over the tiles that training used. Scores of tiles are "
                "calibrated as those of slides: they rank regions, and are no probabilities of tiles."
            )
        else:
            rows.append(
                f"{wanted} have a truly positive tile at or above it. Specificity counts sampled tiles only: on whole "
                "slides expect less."
            )
    rows += [_left_open(name, own, description) for name, own in sorted(description.abstention.items())]
    return "\n".join(rows)


def _left_open(head: str, own: AbstentionBand, description: ModelFile) -> str:
    """Which scores of a head get no label, and what that is worth."""
    units = "tiles" if own.judged_on == "tiles" else _units(description)
    if own.high is None:
        return (
            f"\nHead {head} is always `indeterminate`: even the surest labels on validation {units} were wrong more often "
            f"than in {own.target_selective_risk:g} of them."
        )
    which = (
        f"labels below {own.high:.4g}"
        if own.low is None
        else f"{units} with scores between {own.low:.4g} and {own.high:.4g}"
    )
    error = f" {_words_of(own.selective_risk)} of these calls were wrong." if own.selective_risk else ""
    return (
        f"\nHead {head}: the model abstains (`indeterminate`) on {which}, so that at most {own.target_selective_risk:g} of its "
        f"calls on validation {units} are wrong. It made a call on {_words_of(own.coverage)} of these {units}.{error}"
    )


def _words_of(metric: Interval) -> str:
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f}; {metric.method})"


def _units(description: ModelFile) -> str:
    return "images" if description.trained_on.images else "slides"


def _row(name: str, metric: Interval) -> str:
    span = "not known" if metric.method == TOO_FEW else f"{metric.low:.3f} to {metric.high:.3f}"
    return f"| {name} | {metric.value:.3f} | {span} | {metric.method} |"


def _bullets(lines: Sequence[str]) -> str:
    # Words of a manifest (sites, scanners) are nobody's markup.
    return "\n".join(f"- {' '.join(line.split()).replace('|', '¦')}" for line in lines)


def _words(values: Sequence[str]) -> str:
    return ", ".join(values) or "not stated"

"""``inkdot model show``: model.json as readable text."""

import json
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from inkdot.config import Aggregator
from inkdot.labels import Head
from inkdot.storage.models.model_files import ModelFile, model_sha256, read_model_file
from inkdot.storage.models.model_records import Interval, OperatingPoint

_POOLED: Final[dict[Aggregator, str]] = {
    "gated_attention": "scored by gated attention over their tiles",
    "clam_sb": "scored by gated attention over their tiles, trained with CLAM's clustering loss",
    "mean": "scored as the mean of their tiles",
    "max": "scored as their highest tile",
    "transmil": "scored by a transformer over their tiles (after TransMIL), not by the scores of tiles",
}


def run(model: Path, *, as_json: bool = False) -> int:
    """Print what a model is, what it was trained on, and its metrics.

    Args:
        model: A model folder.
        as_json: Print ``model.json`` with the model's hash to stdout in place of the page.

    Raises:
        StorageError: The folder is no model, or its files do not match.
    """
    description = read_model_file(model)
    console = Console()
    if as_json:
        value = {"model_sha256": model_sha256(model)} | description.model_dump(mode="json")
        console.out(json.dumps(value, indent=2, ensure_ascii=False), highlight=False)
        return 0
    for line in page(model, description):
        console.print(Text(line), soft_wrap=True)
    return 0


def page(model: Path, description: ModelFile) -> list[str]:
    """The lines of the page; every metric has its interval."""
    tiling = description.tiling
    lines = [f"{model}", "For Research Use Only. Not for use in diagnostic procedures.", ""]
    if description.trained_on.synthetic:
        lines += ["SYNTHETIC: trained on synthetic specimens; its scores mean nothing on real cells.", ""]
    if not description.mpp_known:
        lines += ["UNKNOWN SCALE: trained on images without micrometres per pixel.", ""]
    lines += [
        f"network      {_network(description)}, made with Inkdot {description.inkdot} ({description.version})",
        *([f"licence      {description.licence}"] if description.licence else []),
        f"tiles        {tiling.side_px} px at {tiling.mpp:g} µm/px ({tiling.spec.side_um:g} µm), "
        f"every {tiling.stride_px} px, mode {tiling.mode}",
        f"preparation  {description.preparation}",
        f"precision    {description.precision}",
        "",
        *([f"slides       {_POOLED[description.attention.aggregator]}", ""] if description.attention else []),
        "heads",
        *(f"  {_head(head, description)}" for head in description.head_records),
        "",
        "operating points, locked",
        *_points(description),
        "",
        "trained on",
        *_trained_on(description),
        "",
        "metrics of single members on patients that they have not seen, 95 % intervals"
        if description.members
        else "metrics on validation data, 95 % intervals",
        *(f"  {name}: {_metric(metric)}" for name, metric in sorted(description.validation_metrics.items())),
        *([] if description.validation_metrics else ["  none"]),
        "",
        f"hashes       model   {model_sha256(model)}",
        *(
            f"             member  {member.model_sha256} (members/{number})"
            for number, member in enumerate(description.members, start=1)
        ),
        f"             weights {description.weights_sha256}",
        f"             config  {description.config_sha256}",
    ]
    return lines


def _network(description: ModelFile) -> str:
    count = len(description.members)
    name = description.encoder or description.backbone
    return f"ensemble of {count}, each {name}" if count else name


def _head(head: Head, description: ModelFile) -> str:
    line = f"{head.name}: {', '.join(head.classes)}"
    if head.flag_class:
        line += f"; {head.flag_class} is flagged"
    if head.condition:
        line += f"; only where {head.condition[0]} is {head.condition[1]}"
    if description.members:
        own = [member.temperatures.get(head.name, 1.0) for member in description.members]
        return f"{line}; temperatures of the members {', '.join(f'{value:g}' for value in own)}"
    return f"{line}; temperature {description.temperatures.get(head.name, 1.0):g}"


def _unit(description: ModelFile, evaluated_on: str) -> str:
    return "images" if description.trained_on.images and evaluated_on == "slides" else evaluated_on


def _points(description: ModelFile) -> list[str]:
    prefix = "selftest_" if description.trained_on.synthetic else ""
    lines = list[str]()
    for name, point in sorted(description.operating_points.items()):
        lines.append(
            f"  {name}: {point.class_name} at or above {point.threshold:.4g}, "
            f"chosen for a sensitivity of {point.target_sensitivity:g} on {_unit(description, point.evaluated_on)}"
        )
        lines.append(f"    {_guarantee(point)}")
        for kind, metric in (("sensitivity", point.sensitivity), ("specificity", point.specificity)):
            lines.append(f"    {prefix}{kind} {_metric(metric) if metric else 'unknown'}")
    if description.slide_score_rule is not None:
        lines.append(f"  {description.slide_score_rule.in_words}")
    for name, own in sorted(description.abstention.items()):
        span = f"{own.low:.4g} to {own.high:.4g}" if own.low is not None else f"below {own.high or 1:.4g}"
        lines.append(
            f"  {name}: abstains {span}, for a selective risk of {own.target_selective_risk:g} "
            f"on {_unit(description, own.evaluated_on)}"
        )
        if own.guarantee is not None:
            held = "guaranteed" if own.guarantee.locked else "not guaranteed"
            lines.append(
                f"    {held}: at most {own.guarantee.bound:.3f} of the calls are wrong, confidence {own.guarantee.confidence:g}"
            )
        lines.append(f"    {prefix}coverage {_metric(own.coverage)}")
        lines.append(
            f"    {prefix}selective_risk {_metric(own.selective_risk) if own.selective_risk else 'unknown'}"
        )
    return lines or ["  none"]


def _guarantee(point: OperatingPoint) -> str:
    own = point.guarantee
    if own is None:
        return "not known what holds for further patients: an older model"
    if point.lock_note:
        return f"{point.lock_note}; these support a sensitivity of {own.bound:.3f}"
    return (
        f"guaranteed: sensitivity at least {point.target_sensitivity:g}, confidence {own.confidence:g}, "
        f"from {own.patients} positives"
    )


def _trained_on(description: ModelFile) -> list[str]:
    trained_on = description.trained_on
    units, groups = ("images", "groups") if trained_on.images else ("slides", "patients")
    return [
        f"  {trained_on.slides} {units} of {trained_on.patients} {groups}, {trained_on.sites or 'unstated'} sites, "
        f"{trained_on.scanners or 'unstated'} scanners{', all synthetic' if trained_on.synthetic else ''}",
        f"  stains {', '.join(trained_on.stains) or 'not stated'}; "
        f"preparations {', '.join(trained_on.preparations) or 'not stated'}",
        _ood(description),
        *(f"  {name}: {count:g} tiles" for name, count in sorted(trained_on.tiles_per_class.items())),
    ]


def _ood(description: ModelFile) -> str:
    own = description.ood
    if own is None:
        return "  no OOD reference: slides unlike these are not detected"
    return f"  out-of-distribution above a median OOD distance of {own.limit:.2f}, from {own.slides} validation slides"


def _metric(metric: Interval) -> str:
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f}; {metric.method})"

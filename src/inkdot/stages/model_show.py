"""``inkdot model show``: model.json for people."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from inkdot.labels import Head
from inkdot.storage.model_files import Interval, ModelFile, model_sha256, read_model_file


def run(model: Path) -> int:
    """Print what a model is, what it saw and how it did.

    Args:
        model: A model folder.

    Raises:
        StorageError: The folder is no model, or its files do not belong together.
    """
    description = read_model_file(model)
    console = Console()
    for line in page(model, description):
        console.print(Text(line), soft_wrap=True)
    return 0


def page(model: Path, description: ModelFile) -> list[str]:
    """The lines of the page; nothing in them is invented or left without its interval."""
    tiling = description.tiling
    lines = [f"{model}", "For Research Use Only. Not for use in diagnostic procedures.", ""]
    if description.trained_on.synthetic:
        lines += ["SYNTHETIC: trained on painted specimens; its scores mean nothing on real cells.", ""]
    if not description.mpp_known:
        lines += ["UNKNOWN SCALE: trained on images whose micrometres per pixel nobody stated.", ""]
    lines += [
        f"network      {description.backbone}, made with Inkdot {description.inkdot} ({description.version})",
        f"tiles        {tiling.side_px} px at {tiling.mpp:g} µm/px ({tiling.spec.side_um:g} µm), "
        f"every {tiling.stride_px} px, cut by {tiling.mode}",
        f"preparation  {description.preparation}",
        f"scores       in {description.precision}",
        "",
        "heads",
        *(f"  {_head(head, description)}" for head in description.head_records),
        "",
        "operating points, locked",
        *_points(description),
        "",
        "trained on",
        *_seen(description),
        "",
        "metrics on validation data, 95 % intervals",
        *(f"  {name}: {_metric(metric)}" for name, metric in sorted(description.validation_metrics.items())),
        *([] if description.validation_metrics else ["  none"]),
        "",
        f"hashes       model   {model_sha256(model)}",
        f"             weights {description.weights_sha256}",
        f"             config  {description.config_sha256}",
    ]
    return lines


def _head(head: Head, description: ModelFile) -> str:
    words = f"{head.name}: {', '.join(head.classes)}"
    if head.flag_class:
        words += f"; {head.flag_class} is flagged"
    if head.condition:
        words += f"; asked where {head.condition[0]} is {head.condition[1]}"
    return f"{words}; temperature {description.temperatures.get(head.name, 1.0):g}"


def _points(description: ModelFile) -> list[str]:
    prefix = "selftest_" if description.trained_on.synthetic else ""
    lines = list[str]()
    for name, point in sorted(description.operating_points.items()):
        lines.append(
            f"  {name}: {point.class_name} at or above {point.threshold:.4g}, "
            f"chosen for a sensitivity of {point.target_sensitivity:g} on {point.judged_on}"
        )
        for kind, metric in (("sensitivity", point.sensitivity), ("specificity", point.specificity)):
            lines.append(f"    {prefix}{kind} {_metric(metric) if metric else 'unknown'}")
    for name, own in sorted(description.abstention.items()):
        span = f"{own.low:.4g} to {own.high:.4g}" if own.low is not None else f"below {own.high or 1:.4g}"
        lines.append(
            f"  {name}: left open {span}, for an error of {own.target_selective_risk:g} on {own.judged_on}"
        )
        lines.append(f"    {prefix}labelled {_metric(own.coverage)}")
        lines.append(
            f"    {prefix}selective risk {_metric(own.selective_risk) if own.selective_risk else 'unknown'}"
        )
    return lines or ["  none"]


def _seen(description: ModelFile) -> list[str]:
    seen = description.trained_on
    units, groups = ("images", "groups") if seen.images else ("slides", "patients")
    return [
        f"  {seen.slides} {units} of {seen.patients} {groups}, {seen.sites or 'unstated'} sites, "
        f"{seen.scanners or 'unstated'} scanners{', all synthetic' if seen.synthetic else ''}",
        f"  stains {', '.join(seen.stains) or 'not stated'}; preparations {', '.join(seen.preparations) or 'not stated'}",
        _unlike(description),
        *(f"  {name}: {count:g} tiles" for name, count in sorted(seen.tiles_per_class.items())),
    ]


def _unlike(description: ModelFile) -> str:
    own = description.ood
    if own is None:
        return "  cannot tell slides that are unlike these"
    return f"  slides are unlike these above a median feature distance of {own.limit:.2f}, from {own.slides} in validation"


def _metric(metric: Interval) -> str:
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f}; {metric.method})"

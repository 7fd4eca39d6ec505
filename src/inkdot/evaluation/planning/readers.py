"""Plans of reader studies: how many readers and cases."""

import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import cast

from inkdot.bounded_json import parse_json
from inkdot.errors import UserError
from inkdot.evaluation.planning.study_plan import Cell, PlanLine, StudyPlan, asked, given_inputs
from inkdot.metrics.reader_study import (
    VAN_DYKE,
    Design,
    VarianceComponents,
    cases_for_reader_study,
    reader_study_power,
)

_READERS = (3, 4, 5, 6, 8, 10, 12, 15, 20)
VAN_DYKE_NAME = "van-dyke"


def reader_study_plan(
    difference: float,
    components: str,
    *,
    design: Design = "crossed",
    readers: Sequence[int] = (),
    power: float = 0.8,
    alpha: float = 0.05,
    washout_weeks: float = 4.0,
) -> StudyPlan:
    """Readers and cases to find a difference in the readers' mean AUC.

    Raises:
        UserError: An argument is outside of its range, or the file of variance components is wrong.
    """
    own = VAN_DYKE if components == VAN_DYKE_NAME else read_components(Path(components))
    numbers = sorted(set(readers)) or list(_READERS)
    rows: list[tuple[Cell, ...]] = []
    found: list[tuple[int, int]] = []
    times = 2 if design == "crossed" else 1
    for count in numbers:
        cases = asked(cases_for_reader_study, difference, count, own, design, power, alpha)
        people = count if design == "crossed" else 2 * count
        if cases is None:
            rows.append((str(count), people, None, "–", "–", "–"))
            continue
        found.append((count, cases))
        reached = reader_study_power(difference, count, cases, own, design, alpha)
        rows.append((str(count), people, cases, cases * times, cases * times * people, reached))
    if found:
        fewest = found[len(found) // 2]
        who = "readers" if design == "crossed" else "readers per arm"
        answer = f"With {fewest[0]} {who}, {fewest[1]:,} cases give a power of {power:g}; more readers need fewer cases."
    else:
        answer = f"No number of cases gives a power of {power:g} with so few readers: add readers."
    return StudyPlan(
        title=f"Readers and cases to find a difference of {difference:g} in AUC ({design} design)",
        answer=answer,
        inputs=given_inputs(
            difference=difference,
            design=design,
            power=power,
            alpha=alpha,
            washout_weeks=washout_weeks,
            components=asdict(own),
        ),
        columns=(
            "readers" if design == "crossed" else "readers per arm",
            "readers in all",
            "cases",
            "reads per reader",
            "reads in all",
            "power",
        ),
        rows=rows,
        notes=[*_design_notes(design, washout_weeks), *_component_notes(components, own)],
        x_label="readers" if design == "crossed" else "readers per arm",
        y_label="cases",
        lines=[PlanLine("cases", [count for count, _ in found], [cases for _, cases in found])],
    )


def read_components(path: Path) -> VarianceComponents:
    """Variance components from a JSON file with the attributes of :class:`VarianceComponents`.

    Raises:
        UserError: The file is missing, no JSON, or lacks one.
    """
    names = [own.name for own in fields(VarianceComponents)]
    expected = f"{path}: expected JSON with the numbers {', '.join(names)}, or the name {VAN_DYKE_NAME}"
    try:
        found: object = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{expected}, found: {error}") from None
    values = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    for name in names:
        value = values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"{expected}, found {name}: {value!r}")
    numbers = {name: float(cast("float", values[name])) for name in names}
    if numbers["cases"] < 1 or numbers["var"] <= 0:
        raise UserError(f"{expected}, found cases {numbers['cases']:g} and var {numbers['var']:g}")
    return VarianceComponents(**{**numbers, "cases": int(numbers["cases"])})  # pyright: ignore[reportArgumentType]


def _design_notes(design: Design, washout_weeks: float) -> list[str]:
    if design == "crossed":
        return [
            "crossed: every reader reads every case twice, with the model and without. One half of the cases is read with it "
            f"first, the other without, and {washout_weeks:g} weeks of washout lie between the two readings of a case.",
            "Obuchowski-Rockette model, readers and cases random: Hillis, Obuchowski and Berbaum 2011, Acad Radiol 18:129.",
        ]
    return [
        "two-arm: one half of the readers reads all cases with the model, the other half reads them without; no washout. "
        "Differences between readers count in full, so many more readers are needed.",
        "Obuchowski-Rockette model, readers nested in the arms, readers and cases random: Hillis 2014, Stat Med 33:330.",
    ]


def _component_notes(name: str, own: VarianceComponents) -> list[str]:
    source = (
        "Van Dyke et al. 1993 (five radiologists, 114 patients, magnetic resonance): another task than yours, for a first idea "
        "only; give those of a pilot study"
        if name == VAN_DYKE_NAME
        else name
    )
    return [
        f"Variance components of {source}: readers {own.var_r:.3g}, readers by way {own.var_tr:.3g}, cov1 {own.cov1:.3g}, "
        f"cov2 {own.cov2:.3g}, cov3 {own.cov3:.3g}, error {own.var:.3g}, on {own.cases} cases. The share of positive cases "
        "must be that of this study."
    ]

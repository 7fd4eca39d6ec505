"""Adequacy of a slide's material: too little is `inadequate`, never negative."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from inkdot.config import AdequacyConfig
from inkdot.records import Preparation, SlideInfo
from inkdot.tiling.clusters.group_objects import IN_FOCUS_BLUR_UM, Cluster
from inkdot.tiling.foreground.find_foreground import Foreground
from inkdot.tiling.foreground.foreground_classes import ForegroundClass

Rule = Literal["cytology", "section", "photograph"]

NO_CELL: Final = "no nucleated cell was found"
"""Why a slide without any nucleus is inadequate."""

_OVER_TISSUE = (ForegroundClass.BLUR, ForegroundClass.FOLD)
_OVER_GLASS = (
    ForegroundClass.PEN,
    ForegroundClass.BUBBLE,
    ForegroundClass.IN_BUBBLE,
    ForegroundClass.GREY,
    ForegroundClass.COVERSLIP,
    ForegroundClass.FIBRE,
    ForegroundClass.FOLD,
    ForegroundClass.NO_PIXELS,
)


@dataclass(frozen=True, slots=True)
class NucleusCount:
    """Nucleated cells of all kinds, as estimated on a coarse level.

    Attributes:
        nuclei: All.
        in_focus: Those in groups with a sharp edge.
    """

    nuclei: int
    in_focus: int


@dataclass(frozen=True, slots=True)
class Assessment:
    """What of a slide is assessable, and whether that is adequate.

    Attributes:
        rule: Decides which limits apply.
        areas_mm2: Area of each foreground class, by its short name.
        assessable_mm2: Cytology: assessable glass of the spot (of the image); sections: assessable tissue.
        unassessable_fraction: Fraction (0 to 1) of the material that is not assessable.
        nuclei: Nucleated cells; None where they were not counted.
        nuclei_in_focus: Those in focus.
        spot: The cell spot as a phrase; empty where none was found.
        adequate: Whether every limit is met.
        why: What is missing, as a phrase; empty where nothing is.
    """

    rule: Rule
    areas_mm2: dict[str, float]
    assessable_mm2: float
    unassessable_fraction: float
    nuclei: int | None
    nuclei_in_focus: int | None
    spot: str
    adequate: bool
    why: str


def count_nuclei(clusters: Sequence[Cluster], foreground: Foreground) -> NucleusCount:
    """Count nuclei in all clusters; in focus are those with sharp edges that lie not in blurred foreground."""
    sharp = sum(
        cluster.nuclei
        for cluster in clusters
        if cluster.blur_um <= IN_FOCUS_BLUR_UM and not _is_blurred(cluster, foreground)
    )
    return NucleusCount(sum(cluster.nuclei for cluster in clusters), sharp)


def _is_blurred(cluster: Cluster, foreground: Foreground) -> bool:
    """Whether most of the foreground under a cluster is out of focus."""
    frame = foreground.frame
    left, top, right, bottom = cluster.box_um
    # Clusters are in µm from the corner of level 0, the mask starts at its own corner.
    x = frame.x_l0_px / frame.step_x_l0_px
    y = frame.y_l0_px / frame.step_y_l0_px
    columns = slice(max(0, int(left / frame.mpp - x)), max(0, int(right / frame.mpp - x)) + 1)
    rows = slice(max(0, int(top / frame.mpp - y)), max(0, int(bottom / frame.mpp - y)) + 1)
    under = foreground.classes[rows, columns]
    return int((under == ForegroundClass.BLUR).sum()) > int((under == ForegroundClass.FOREGROUND).sum())


def rule_for(
    info: SlideInfo, foreground: Foreground, preparation: Preparation, config: AdequacyConfig
) -> Rule:
    """Choose the rule; a plain image of a small field is a photograph, whatever the preparation."""
    frame = foreground.frame
    shown_mm2 = frame.width_px * frame.height_px * (frame.mpp / 1000.0) ** 2
    if info.vendor.startswith("plain") and shown_mm2 <= config.photograph_mm2:
        return "photograph"
    return "section" if preparation == "section" else "cytology"


def needs_nuclei(rule: Rule, config: AdequacyConfig) -> bool:
    """Whether the rule counts nuclei."""
    return {
        "cytology": config.min_nuclei > 0,
        "photograph": config.min_nuclei_in_photograph > 0,
        "section": False,
    }[rule]


def assess(
    foreground: Foreground, rule: Rule, count: NucleusCount | None, config: AdequacyConfig
) -> Assessment:
    """Assess areas by class, and whether the limits are met.

    Args:
        foreground: What was found on the slide.
        rule: Decides which limits apply.
        count: Nuclei; None where the rule does not count them.
        config: The limits.
    """
    areas = foreground.areas_um2()
    unassessable = _unassessable_fraction(areas, rule)
    shown = areas[ForegroundClass.FOREGROUND] + sum(areas[kind] for kind in _OVER_TISSUE)
    if rule != "section":
        shown = sum(areas.values()) - areas[ForegroundClass.OUTSIDE]
    assessable_mm2 = shown * (1.0 - unassessable) / 1e6
    missing = _missing(rule, count, assessable_mm2, unassessable, config)
    return Assessment(
        rule=rule,
        areas_mm2={kind.column: round(area / 1e6, 6) for kind, area in areas.items() if area},
        assessable_mm2=round(assessable_mm2, 6),
        unassessable_fraction=round(unassessable, 4),
        nuclei=None if count is None else count.nuclei,
        nuclei_in_focus=None if count is None else count.in_focus,
        spot=foreground.spot.words if foreground.spot else "",
        adequate=not missing,
        why="; ".join(missing),
    )


def without_tiles(assessment: Assessment) -> Assessment:
    """The assessment of a slide that has no tile: nothing of it is scored, so it is inadequate whatever the limits."""
    reason = {
        None: "no tissue was found" if assessment.rule == "section" else "no cells were found",
        0: NO_CELL,
    }.get(assessment.nuclei, f"none of its {assessment.nuclei} nucleated cells was looked at")
    found = [why for why in assessment.why.split("; ") if why and why != reason]
    return replace(assessment, adequate=False, why="; ".join([reason, *found]))


def _unassessable_fraction(areas: dict[ForegroundClass, float], rule: Rule) -> float:
    """Fraction of the material that is hidden or blurred.

    The material of a section is tissue. That of a spot is cells: assumed to be as dense under artefacts as on free glass,
    and out of focus in the same fraction as the foreground.
    """
    found = areas[ForegroundClass.FOREGROUND] + areas[ForegroundClass.BLUR]
    if rule == "section":
        hidden = sum(areas[kind] for kind in _OVER_TISSUE)
        return hidden / (areas[ForegroundClass.FOREGROUND] + hidden) if hidden else 0.0
    shown = sum(areas.values()) - areas[ForegroundClass.OUTSIDE]
    covered = sum(areas[kind] for kind in _OVER_GLASS) / shown if shown else 0.0
    blurred = areas[ForegroundClass.BLUR] / found if found else 0.0
    return 1.0 - (1.0 - covered) * (1.0 - blurred)


def _missing(
    rule: Rule,
    count: NucleusCount | None,
    assessable_mm2: float,
    unassessable: float,
    config: AdequacyConfig,
) -> list[str]:
    """Every limit that is not met, as a phrase."""
    least_nuclei = {
        "cytology": config.min_nuclei,
        "photograph": config.min_nuclei_in_photograph,
        "section": 0,
    }[rule]
    least_mm2, what = {
        "cytology": (config.min_assessable_mm2, "assessable glass"),
        "photograph": (0.0, ""),
        "section": (config.min_tissue_mm2, "assessable tissue"),
    }[rule]
    missing: list[str] = []
    if count is not None and count.nuclei == 0 < least_nuclei:
        missing.append(NO_CELL)
    elif count is not None and count.in_focus < least_nuclei:
        missing.append(f"{count.in_focus} nucleated cells in focus, {least_nuclei} are needed")
    if assessable_mm2 < least_mm2:
        missing.append(f"{assessable_mm2:.3g} mm2 of {what}, {least_mm2:g} are needed")
    if rule != "photograph" and unassessable > config.max_unassessable_fraction:
        missing.append(
            f"{unassessable:.0%} cannot be assessed (focus, artefacts), at most {config.max_unassessable_fraction:.0%} may"
        )
    return missing

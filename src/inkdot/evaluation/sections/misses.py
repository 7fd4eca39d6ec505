"""Where malignant regions and slides were missed: no tile was cut, or its score was low."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from inkdot.evaluation.places import LabelledRegion
from inkdot.evaluation.report import Metrics, Plot, Section, Table
from inkdot.evaluation.report_parts import estimate_text
from inkdot.evaluation.sections.ranking import ring
from inkdot.evaluation.slide_results import SlideResult
from inkdot.labels import Head
from inkdot.metrics.intervals.confidence_intervals import Estimate, share_estimate
from inkdot.metrics.slides.froc import FALSE_POSITIVES_PER_SLIDE, FrocData
from inkdot.metrics.slides.slide_level import NameArray

FOUND: Final = "found"
NO_TILE: Final = "no tile was cut"
LOW: Final = "scored low"
ELSEWHERE: Final = "flagged, but at no marked region"
INADEQUATE: Final = "inadequate"

_LISTED: Final = 20


class Miss(NamedTuple):
    """A malignant region or slide that was not found.

    Attributes:
        slide_id: The slide.
        level: ``region`` or ``slide``.
        fate: Why.
        score: Highest score of a tile that shows the region, or of the slide; None without one.
        rank: Rank of that score among the clusters (else tiles) of the slide; 0 without one.
        centre_l0_px: Middle of the region in level-0 pixels; None of a slide.
    """

    slide_id: str
    level: str
    fate: str
    score: float | None
    rank: int
    centre_l0_px: tuple[int, int] | None


def region_fate(region: LabelledRegion) -> str:
    """What became of a malignant region."""
    if region.score is None:
        return NO_TILE
    return FOUND if region.flagged else LOW


def slide_fate(slide: SlideResult, regions: Sequence[LabelledRegion]) -> str:
    """What became of a positive slide.

    Args:
        slide: The slide.
        regions: Its malignant regions that readers marked; none where there are no annotations.
    """
    if slide.flagged:
        return FOUND if not regions or any(own.flagged for own in regions) else ELSEWHERE
    if not len(slide.scores) or (regions and all(own.score is None for own in regions)):
        return NO_TILE
    return LOW if slide.score is not None else INADEQUATE


def regions_section(
    slides: Sequence[SlideResult],
    head: Head,
    threshold: float,
    froc: tuple[FrocData, Sequence[tuple[float, float]]],
    metrics: Metrics,
    prefix: str,
) -> tuple[Section, dict[str, object]]:
    """FROC of the marked regions, and what became of marked regions and positive slides.

    Args:
        slides: The slides.
        head: The flagging head.
        threshold: The locked operating point.
        froc: Scores of lesions and false positives, and their curve.
        metrics: Of regions.
        prefix: Before the names of metrics.

    Returns:
        The section, and the key ``misses`` of the JSON file.
    """
    fates, misses = _fates(slides, head)
    shares = {level: _shares(own) for level, own in fates.items()}
    section = Section(
        anchor="misses",
        question="Are marked regions found, and why not?",
        notes=[
            f"{NO_TILE.capitalize()}: tiling left the place out, no threshold can find it. {LOW.capitalize()}: a tile shows it, "
            "the network did not.",
            "froc: share of the marked regions that are found, mean over ¼ to 8 false positives per negative slide; "
            "sensitivity@1: at one false positive per negative slide, sensitivity@8: at eight.",
        ],
        metrics={"Regions": metrics},
        tables=[
            *(_fate_table(level, own, fates[level], prefix) for level, own in shares.items()),
            Table(
                f"Missed, the lowest rank first{f' ({_LISTED} of {len(misses)})' if len(misses) > _LISTED else ''}; rank: "
                "by score among the slide's clusters (else tiles)",
                ["slide", "what", "why", "score", "rank", "x, y (level-0 pixels)"],
                [_miss_row(own) for own in misses[:_LISTED]],
            ),
        ],
        plots=[_froc_plot(*froc, threshold)],
    )
    return section, {
        **{
            level.lower().replace(" ", "_"): {
                f"{prefix}{fate.replace(',', '').replace(' ', '_')}": {
                    "count": sum(own == fate for _, own in fates[level]),
                    "value": estimate.value,
                    "low": estimate.low,
                    "high": estimate.high,
                    "method": estimate.method,
                }
                for fate, estimate in own.items()
            }
            for level, own in shares.items()
        },
        "missed": [own._asdict() for own in misses],
    }


def _fates(slides: Sequence[SlideResult], head: Head) -> tuple[dict[str, list[tuple[str, str]]], list[Miss]]:
    """Patient and fate of each malignant region and positive slide, and those that were missed."""
    column = head.classes.index(head.flag_class or "")
    of_regions, of_slides, misses = list[tuple[str, str]](), list[tuple[str, str]](), list[Miss]()
    marked_missed = list[tuple[str, str]]()
    for slide in slides:
        if slide.truth is False:
            continue
        marked = [own for own in slide.regions if own.head == head.name and own.target[column] > 0.5]
        for region in marked:
            fate = region_fate(region)
            of_regions.append((slide.patient, fate))
            if region.marked_missed:
                marked_missed.append((slide.patient, fate))
            if fate != FOUND:
                misses.append(
                    Miss(slide.entry.slide_id, "region", fate, region.score, region.rank, region.centre_l0_px)
                )
        if slide.truth:
            fate = slide_fate(slide, marked)
            of_slides.append((slide.patient, fate))
            if fate != FOUND:
                misses.append(Miss(slide.entry.slide_id, "slide", fate, slide.score, 0, None))
    misses.sort(key=lambda own: (own.level == "region", own.rank, own.slide_id, own.centre_l0_px or (0, 0)))
    fates = {"Regions": of_regions, "Marked as missed": marked_missed, "Slides": of_slides}
    return {level: own for level, own in fates.items() if own}, misses


def _shares(fates: Sequence[tuple[str, str]]) -> dict[str, Estimate]:
    """Share of each fate that occurs, with its interval over patients."""
    patients: NameArray = np.array([patient for patient, _ in fates])
    own = np.array([fate for _, fate in fates])
    shares = dict[str, Estimate]()
    for fate in (FOUND, LOW, NO_TILE, ELSEWHERE, INADEQUATE):
        estimate = share_estimate(own == fate, patients)
        if estimate is not None and (fate in own or fate in (FOUND, LOW, NO_TILE)):
            shares[fate] = estimate
    return shares


def _fate_table(
    level: str, shares: dict[str, Estimate], fates: Sequence[tuple[str, str]], prefix: str
) -> Table:
    counts = Counter(fate for _, fate in fates)
    what = {
        "Regions": "Malignant regions that readers marked",
        "Marked as missed": "Of these, marked as missed in a review of earlier results",
        "Slides": "Positive slides",
    }[level]
    return Table(
        f"{what}: {len(fates)}",
        ["what became of them", "number", f"{prefix}share (95 % interval)"],
        [[fate, str(counts[fate]), estimate_text(own)] for fate, own in shares.items()],
    )


def _miss_row(own: Miss) -> list[str]:
    x, y = own.centre_l0_px or ("", "")
    return [
        own.slide_id,
        own.level,
        own.fate,
        "" if own.score is None else f"{own.score:.3f}",
        str(own.rank or ""),
        f"{x}, {y}" if own.centre_l0_px else "",
    ]


def _froc_plot(data: FrocData, points: Sequence[tuple[float, float]], threshold: float) -> Plot:
    limit = np.float32(threshold)
    at = None
    if points:
        false_positives = (data.false_positive_scores.astype(np.float32) >= limit).sum()
        at = (
            float(false_positives / len(data.negative_patients)),
            float((data.lesion_scores.astype(np.float32) >= limit).mean()),
        )
    x_max = FALSE_POSITIVES_PER_SLIDE[-1]
    beyond = (
        f"; the locked threshold, {threshold:.4g}, lies beyond the plot, at {at[0]:.1f} false positives per slide and "
        f"{at[1]:.2f} found"
        if at and at[0] > x_max
        else f"; {ring(threshold)}"
    )
    return Plot(
        f"FROC of the regions shown{beyond}",
        "false positives per negative slide",
        "share of marked regions found",
        points,
        x_max=x_max,
        diagonal=False,
        marked=[at] if at and at[0] <= x_max else [],
    )

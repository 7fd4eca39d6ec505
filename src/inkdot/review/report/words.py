"""Words of a report: what a call means, how adequate a slide is, what was measured."""

import unicodedata
from collections.abc import Mapping
from typing import Final, cast

from inkdot.labels import INDETERMINATE
from inkdot.review.gallery.fields import ScaleBar
from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.results.cluster_facts import ClusterFacts
from inkdot.review.wording import FLAGGED, INADEQUATE, NOT_ANALYSED, NOTHING_FLAGGED, score_text
from inkdot.storage.tables.predictions import WARNING_SEPARATOR

_MEANINGS: Final = {
    FLAGGED: "Part of the slide scores at or above the model's operating point. A pathologist must look at the places "
    "below; a flag is no diagnosis.",
    NOTHING_FLAGGED: "The score of the slide is below the model's operating point. This does not exclude malignancy.",
    INDETERMINATE: "The model makes no call on this slide. A pathologist must read it.",
    INADEQUATE: "Too little could be assessed for a call: the slide is inadequate, not negative.",
    NOT_ANALYSED: "The slide has no score. Examine the glass slide or the full image.",
}
_JOINERS: Final = frozenset("\u200c\u200d")  # Arabic and Indic scripts, and emoji, are spelt with them


def plain_line(text: str) -> str:
    """A text as one line that can be typeset: no line breaks, no control characters, nothing that turns its direction round."""
    kept = (
        sign if sign in _JOINERS or unicodedata.category(sign) not in {"Cc", "Cf", "Cs"} else " "
        for sign in unicodedata.normalize("NFC", text)
    )
    return " ".join("".join(kept).split())


def cut(text: str, most: int) -> str:
    """At most ``most`` characters of a text; a cut one ends with an ellipsis."""
    line = plain_line(text)
    return line if len(line) <= most else line[: max(0, most - 1)].rstrip() + "…"


def counted(count: int, one: str, many: str = "") -> str:
    """``1 slide`` or ``12,345 slides``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def length_words(bar: ScaleBar) -> str:
    """``50 µm`` or ``2 mm``."""
    return f"{bar.length_um} µm" if bar.length_um < 1000 else f"{bar.length_um / 1000:g} mm"


def meaning_of(call: str) -> str:
    """What a call says, in one or two sentences."""
    return _MEANINGS.get(call, "")


def score_line(review: SlideReview) -> str:
    """The score of a slide beside the operating point that its call was made at; empty without a score."""
    facts = review.facts
    if facts is None or review.score is None:
        return ""
    point = facts.threshold if facts.slide_threshold is None else facts.slide_threshold
    return f"{score_text(review.score)} (operating point {score_text(point)})"


def found_line(review: SlideReview) -> str:
    """How much of the slide is flagged; empty without scores."""
    ranking = review.ranking
    if ranking is None:
        return ""
    if ranking.units is not None and ranking.flagged_units is not None:
        return (
            f"{ranking.flagged_units:,} of {counted(ranking.units, 'cluster or cell', 'clusters and cells')}"
        )
    return f"{ranking.flagged_tiles:,} of {counted(ranking.tiles, 'tile')}"


def adequacy_line(call: str, row: Mapping[str, str]) -> str:
    """How much of a slide could be assessed, from its row of ``predictions.csv``."""
    known: list[str] = []
    if nuclei := _number(row.get("nuclei_in_focus", "")):
        known.append(f"about {nuclei:,.0f} nucleated cells in focus")
    if (area := _number(row.get("assessable_mm2", ""))) is not None:
        known.append(f"{area:,.3g} mm² assessable")
    if (lost := _number(row.get("unassessable_fraction", ""))) is not None:
        known.append(f"{lost:.0%} of the content not assessable")
    if call == NOT_ANALYSED:
        return "not assessed"
    verdict = "inadequate" if call == INADEQUATE else "adequate" if known else "not assessed"
    return f"{verdict}: {', '.join(known)}" if known else verdict


def warnings_of(review: SlideReview) -> list[str]:
    """Reasons and warnings of a slide, each once."""
    texts = [part for text in (review.problem, *review.warnings) for part in text.split(WARNING_SEPARATOR)]
    return list(dict.fromkeys(line for text in texts if (line := plain_line(text))))


def measurement_lines(cluster: ClusterFacts | None) -> list[str]:
    """Measurements of the nuclei of one place, and what makes them less reliable; none of a place that is no cluster."""
    if cluster is None:
        return []
    lines = [_nuclei(cluster)]
    found, parts = cluster.measures, list[str]()
    if (diameter := found.get("diameter_median_um")) is not None:
        parts.append(f"median diameter {diameter:.1f} µm")
    if (ratio := found.get("diameter_ratio")) is not None:
        parts.append(f"{ratio:.2f} × lymphocytes")
    if (share := found.get("nc_diameter_ratio_median")) is not None:
        parts.append(f"nucleus-to-cell diameter {share:.2f}")
    if parts:
        lines.append(", ".join(parts))
    if not cluster.in_focus:
        lines.append("out of focus")
    return lines


def reference_line(review: SlideReview) -> str:
    """The lymphocyte reference of a slide; empty where nothing was measured."""
    reference = review.lymphocyte_reference
    if reference is None:
        return ""
    diameter, reason = reference.get("diameter_um"), reference.get("reason")
    if not isinstance(diameter, float) or reason:
        return plain_line(f"no size reference: {reason}" if reason else "no size reference")
    count = cast("int", reference["lymphocytes"])
    return f"{count} resting lymphocytes, median nuclear diameter {diameter:.1f} µm"


def _nuclei(cluster: ClusterFacts) -> str:
    if not cluster.measured_nuclei:
        return f"about {counted(cluster.nuclei, 'nucleus', 'nuclei')}, none outlined"
    outlined = counted(cluster.measured_nuclei, "nucleus", "nuclei")
    if cluster.measured_nuclei < cluster.nuclei:
        return f"{outlined} outlined of about {cluster.nuclei:,}"
    return f"{outlined} outlined"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

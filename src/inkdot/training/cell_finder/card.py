"""The card of a fine-tuned cell finder: what it was trained on, and what changed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inkdot import __version__
from inkdot.cell_finder.finder_files import FinderFile
from inkdot.labels import CELL, NOT_A_CELL
from inkdot.training.cell_finder.distillation import FineTuneSettings
from inkdot.training.cell_finder.held_out import Change, Share
from inkdot.training.cell_finder.places import AnsweredRegion


@dataclass(frozen=True, slots=True)
class FineTuning:
    """A finished fine-tuning.

    Attributes:
        base_name: Where the cell finder to start from lies.
        base: Its description.
        settings: How it was trained.
        regions: The answered regions.
        disagreements: Regions left out because their readers disagree.
        groups: Patient of each slide, or its own name where none is stated.
        folds: Number of networks that were trained to be tried on other groups; 0 where there is one group.
        change: On the held-out groups; on fields that were not trained on where there are none.
        further: Slides without corrections whose fields were trained on, too.
        uncorrected: Nuclei of other fields of these slides, found before, that are still found.
    """

    base_name: str
    base: FinderFile
    settings: FineTuneSettings
    regions: Sequence[AnsweredRegion]
    disagreements: int
    groups: Mapping[str, str]
    folds: int
    change: Change
    further: Sequence[str]
    uncorrected: Share


def change_lines(tuning: FineTuning) -> list[str]:
    """What changed, as rows of a Markdown table: name, before, after."""
    change = tuning.change
    rows = [
        ("regions without a cell that are called cells", NOT_A_CELL),
        ("regions with a cell in which one is found", CELL),
    ]
    lines = [
        f"| {name} | {change.before.get(answer, Share())} | {change.after.get(answer, Share())} |"
        for name, answer in rows
        if tuning.folds
    ]
    return [
        *lines,
        f"| nuclei elsewhere, found before, that are still found | | {change.kept} |",
        f"| nuclei elsewhere, found now, that were found before | | {change.found} |",
        *(
            [f"| nuclei on slides without corrections that are still found | | {tuning.uncorrected} |"]
            if tuning.further
            else []
        ),
    ]


def where_measured(tuning: FineTuning) -> str:
    """On what the change was measured."""
    if not tuning.folds:
        return (
            "No patient was left out: there is no held-out figure. Nuclei elsewhere are those of fields of these slides that "
            "were not trained on."
        )
    return (
        f"Each slide was tried by a network trained without its patient ({tuning.folds} networks with the same settings); "
        "the one in this folder was trained on all."
    )


def card_text(tuning: FineTuning, base_card: str) -> str:
    """The card in Markdown, with that of the cell finder it started from at its end."""
    slides = Counter((region.slide_id, region.answer) for region in tuning.regions)
    readers = Counter((name, region.answer) for region in tuning.regions for name in region.readers)
    settings = tuning.settings
    lines = [
        "# Cell finder, fine-tuned",
        "",
        f"Started from `{tuning.base_name}` (weights {tuning.base.weights_sha256[:12]}), made with Inkdot {__version__}: "
        f"{settings.steps} steps, learning rate {settings.learning_rate:g}, seed {settings.seed}. Research use only.",
        "",
        "## Trained on",
        "| slide | patient | not a cell | cell |",
        "|---|---|---|---|",
        *(
            f"| {name} | {group} | {slides[name, NOT_A_CELL]} | {slides[name, CELL]} |"
            for name, group in sorted(tuning.groups.items())
        ),
        "",
        "| reader | not a cell | cell |",
        "|---|---|---|",
        *(
            f"| {name} | {readers[name, NOT_A_CELL]} | {readers[name, CELL]} |"
            for name in sorted({name for name, _ in readers})
        ),
        "",
        f"Regions whose readers disagree were left out: {tuning.disagreements}. Elsewhere the network was taught its own "
        "earlier answers, "
        f"also on fields of {len(tuning.further)} slides without corrections.",
        "",
        "## Before and after",
        where_measured(tuning),
        "",
        "| | before | after |",
        "|---|---|---|",
        *change_lines(tuning),
        "",
        "95 % Clopper-Pearson intervals, for independent regions; those of one slide resemble each other, so the true intervals "
        "are wider. Regions were shown because a cell finder found them: what it misses is not among them.",
        "",
        "## The cell finder it started from",
        *(f"#{line}" if line.startswith("#") else line for line in base_card.splitlines()),
    ]
    return "\n".join(lines) + "\n"

"""``inkdot cell-finder fine-tune``: train the cell finder on readers' corrections."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import reduce
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from inkdot.cell_finder import CellFinder
from inkdot.cell_finder.backends import load_backend
from inkdot.cell_finder.finder_files import SHIPPED, FinderFile, Weights, read_finder, write_finder
from inkdot.errors import SlideError, UserError
from inkdot.labels import CELL, NOT_A_CELL
from inkdot.manifest import read_slides
from inkdot.model.runtimes.torch_backend import choose_device
from inkdot.records import SlideEntry
from inkdot.slides import open_slide
from inkdot.storage.tables.finder_corrections import FinderCorrection, read_finder_corrections
from inkdot.tiling.clusters.detect import knows_stain
from inkdot.training.cell_finder.card import FineTuning, card_text, change_lines, where_measured
from inkdot.training.cell_finder.distillation import FineTuneSettings, fine_tuned
from inkdot.training.cell_finder.held_out import Change, change_of, folds_of
from inkdot.training.cell_finder.places import AnsweredRegion, Place, SlidePlaces, agreed_regions

FIELDS_PER_SLIDE = 64
"""Fields that nobody answered about; every second one is trained on, the others show what changes elsewhere."""

FURTHER_SLIDES = 10
"""Slides without corrections whose fields are used, too: so that what the corrections do not show is not forgotten."""

_Base = tuple[FinderFile, Weights]


def run(
    corrections: Sequence[Path],
    *,
    slides: Path,
    out: Path,
    base: str = "shipped",
    folds: int = 3,
    device: str = "auto",
    settings: FineTuneSettings | None = None,
) -> int:
    """Write a cell finder that was fine-tuned on corrections, with its card.

    Args:
        corrections: Tables of `inkdot review import --finder-corrections`.
        slides: The slides of the tables.
        out: Folder to write, for ``tiling.cell_finder``.
        base: Cell finder to start from: ``shipped``, or a folder.
        folds: Networks that are trained without some patients and tried on these; 0 for none.
        device: ``auto``, or a device of PyTorch.
        settings: How to train; the defaults where None.

    Returns:
        0.

    Raises:
        UserError: Nothing is to be corrected, a slide is missing or has a stain that the cell finder does not know, or
            ``out`` is not empty.
        ManifestError: A table is missing or invalid.
        StorageError: ``base`` is not a cell finder.
        SlideError: A slide cannot be read, or is too coarse.
    """
    console = Console(stderr=True)
    settings = settings or FineTuneSettings()
    folder = SHIPPED if base == "shipped" else Path(base)
    finder = read_finder(folder)
    chosen = choose_device(device)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(
            f"{out}: expected a new or empty folder for the cell finder, found files; choose another --out"
        )
    found = [one for path in corrections for one in read_finder_corrections(path)]
    regions, disagreements = agreed_regions(found)
    _check_answers(regions, corrections)
    entries = _entries(found, slides, finder[0])
    further = _further(slides, entries, finder[0], settings.seed)
    groups = {entry.slide_id: entry.patient_id or entry.slide_id for entry in entries}
    all_groups = groups | {entry.slide_id: entry.patient_id or entry.slide_id for entry in further}
    left_out = folds_of(groups, Counter(region.slide_id for region in regions), folds) if folds else []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        places = _read_places([*entries, *further], regions, finder, settings.seed, bar)
        _warn_of_little(places, console)

        def train(on: Sequence[Place], name: str) -> _Base:
            task = bar.add_task(name, total=settings.steps)
            return finder[0], fine_tuned(finder, on, settings, chosen, lambda: bar.advance(task))

        made = train(_trained_on(places), "all patients")
        change = _change(finder, made, places, left_out, all_groups, train)
        others = [place for place in _tried_on(places) if place.slide_id not in groups]
        uncorrected = change_of(_runnable(finder), _runnable(made), others)
    tuning = FineTuning(
        base_name=base if base == "shipped" else folder.name,
        base=finder[0],
        settings=settings,
        regions=regions,
        disagreements=disagreements,
        groups=groups,
        folds=len(left_out),
        change=change,
        further=[entry.slide_id for entry in further],
        uncorrected=uncorrected.kept,
    )
    _write(out, made, tuning, folder / "card.md")
    _print(console, tuning, places, _runnable(made), out)
    return 0


def _change(
    finder: _Base,
    made: _Base,
    places: Sequence[Place],
    left_out: Sequence[set[str]],
    groups: Mapping[str, str],
    train: Callable[[Sequence[Place], str], _Base],
) -> Change:
    """What changes on slides of patients that were left out; on untrained fields alone where there are none."""
    before = _runnable(finder)
    if not left_out:
        fields = [place for place in _tried_on(places) if place.region is None]
        return change_of(before, _runnable(made), fields)
    changes: list[Change] = []
    for number, fold in enumerate(left_out, start=1):
        patients = {groups[slide_id] for slide_id in fold}
        on = [place for place in _trained_on(places) if groups[place.slide_id] not in patients]
        after = _runnable(train(on, f"fold {number} of {len(left_out)}"))
        tried = [place for place in _tried_on(places) if groups[place.slide_id] in patients]
        changes.append(change_of(before, after, tried))
    return reduce(Change.__add__, changes)


def _write(out: Path, made: _Base, tuning: FineTuning, base_card: Path) -> None:
    known = made[0].trained_on
    trained_on = [*known, *(name for name in [*tuning.groups, *tuning.further] if name not in known)]
    text = base_card.read_text(encoding="utf-8") if base_card.exists() else ""
    description = made[0].model_copy(update={"trained_on": trained_on})
    write_finder(out, description, made[1], card_text(tuning, text))


def _trained_on(places: Sequence[Place]) -> list[Place]:
    fields = [place for place in places if place.region is None]
    return [place for place in places if place.region is not None] + fields[::2]


def _tried_on(places: Sequence[Place]) -> list[Place]:
    fields = [place for place in places if place.region is None]
    return [place for place in places if place.region is not None] + fields[1::2]


def _runnable(finder: _Base) -> CellFinder:
    return CellFinder(finder[0], load_backend(*finder, device="cpu"))


def _check_answers(regions: Sequence[AnsweredRegion], tables: Sequence[Path]) -> None:
    if not any(region.answer == NOT_A_CELL for region in regions):
        raise UserError(
            f"{', '.join(map(str, tables))}: expected regions that are no cells, found none on which all readers agree; there is "
            "nothing to correct"
        )


def _entries(found: Sequence[FinderCorrection], slides: Path, finder: FinderFile) -> list[SlideEntry]:
    """The slides of the corrections.

    Raises:
        UserError: One is missing, or has a stain that the cell finder does not know.
    """
    known = {entry.slide_id: entry for entry in read_slides(slides, heads=())}
    named = sorted({one.slide_id for one in found})
    missing = [name for name in named if name not in known]
    if missing:
        raise UserError(
            f"{slides}: expected the {len(named)} slides of the corrections, found {len(named) - len(missing)}; "
            f"{missing[0]!r} is missing: add it, or name the table that lists it (for pseudonyms: "
            "`inkdot review import --results`)"
        )
    entries = [known[name] for name in named]
    for entry in entries:
        if not knows_stain(finder, entry.stain):
            raise UserError(
                f"{entry.slide_id}: expected a stain that the cell finder knows ({', '.join(finder.stains)}), found "
                f"{entry.stain!r}; its cells were found by colour: leave its corrections out"
            )
    return entries


def _further(slides: Path, entries: Sequence[SlideEntry], finder: FinderFile, seed: int) -> list[SlideEntry]:
    """Some slides without corrections, drawn at random, with a stain that the cell finder knows."""
    named = {entry.slide_id for entry in entries}
    others = [
        entry
        for entry in read_slides(slides, heads=())
        if entry.slide_id not in named and entry.path.exists() and knows_stain(finder, entry.stain)
    ]
    drawn = np.random.default_rng(seed).permutation(len(others))[:FURTHER_SLIDES]
    return [others[index] for index in sorted(drawn)]


def _read_places(
    entries: Sequence[SlideEntry],
    regions: Sequence[AnsweredRegion],
    finder: _Base,
    seed: int,
    bar: Progress,
) -> list[Place]:
    """Places of all slides: the answered regions, and fields that nobody answered about."""
    task = bar.add_task("reading slides", total=len(entries))
    runnable, places = _runnable(finder), list[Place]()
    for number, entry in enumerate(entries):
        own = [region for region in regions if region.slide_id == entry.slide_id]
        try:
            with closing(open_slide(entry)) as slide:
                of_slide = SlidePlaces(slide, entry.slide_id, runnable)
                places += of_slide.answered(own)
                places += of_slide.fields(FIELDS_PER_SLIDE, np.random.default_rng([seed, number]))
        except SlideError as error:
            if own:
                raise
            bar.console.print(f"{error}; it has no corrections and is left out", soft_wrap=True, markup=False)
        bar.advance(task)
    return places


def _warn_of_little(places: Sequence[Place], console: Console) -> None:
    """Say where the cell finder does not find what readers called cells: scale or slide may be wrong."""
    cells = [place for place in places if place.answer == CELL]
    found = sum(place.nuclei > 0 for place in cells)
    if 2 * found < len(cells):
        console.print(
            f"Warning: in {len(cells) - found} of {len(cells)} regions with a cell this cell finder finds none; "
            "check slides.csv (mpp, slide_id), or name the cell finder that was used with --base",
            soft_wrap=True,
            markup=False,
        )


def _print(
    console: Console, tuning: FineTuning, places: Sequence[Place], after: CellFinder, out: Path
) -> None:
    lines = [line.strip("| ").replace("|", ":", 1).replace("|", "->", 1) for line in change_lines(tuning)]
    own = change_of(after, after, [place for place in places if place.answer == NOT_A_CELL]).after
    lines += [
        where_measured(tuning),
        f"Regions without a cell that it was trained on and still calls cells: {own[NOT_A_CELL]}; "
        "this says nothing of other slides",
        f"Written to {out}; use it with tiling.cell_finder: {out}",
    ]
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)

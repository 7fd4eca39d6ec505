"""The slides of a training run: which have labels, and which train, validate or test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from inkdot.config import Config, TrainingConfig
from inkdot.datasets.splits.grouped_split import Part, SplitSlide, grouped_folds, grouped_split, patient_of
from inkdot.datasets.tile_cache import LabelledTiles
from inkdot.errors import LeakageError
from inkdot.labels import Head, flag_column, flagging_head, head_slices
from inkdot.model.targets import FloatArray, TargetArray, known_rows
from inkdot.storage.models.model_records import TrainedOn


@dataclass(frozen=True, slots=True)
class Cohort:
    """Labelled slides and the part of the split that each is in.

    Attributes:
        slides: By slide_id, sorted.
        parts: By slide_id.
        unlabelled: Slides without a single labelled tile.
        empty: Those of them that have no tile at all.
        empty_positive: How many of these are of the flag class by the label of the slide.
        images: The slides are labelled images of one tile each, and a patient is a group of them.
        by_slide: Labels of whole slides are used for training too; the slides then hold tiles without labels.
    """

    slides: Mapping[str, LabelledTiles]
    parts: Mapping[str, Part]
    unlabelled: tuple[str, ...]
    images: bool = False
    by_slide: bool = False
    empty: tuple[str, ...] = ()
    empty_positive: int = 0

    @property
    def synthetic(self) -> bool:
        """The slides were made, not scanned."""
        return any(tiles.synthetic for tiles in self.slides.values())

    @property
    def metrics_prefix(self) -> str:
        """Put before the names of metrics: those on synthetic slides are a self-test."""
        return "selftest_" if self.synthetic else "validation_"

    def of(self, part: Part) -> list[LabelledTiles]:
        """The slides of one part."""
        return [tiles for slide_id, tiles in self.slides.items() if self.parts[slide_id] == part]

    def used(self) -> list[LabelledTiles]:
        """The slides that train or validate."""
        return [*self.of("train"), *self.of("validation")]

    def without(self, failed: Mapping[str, str]) -> "Cohort":
        """The cohort less the slides that failed."""
        rest = {slide_id: tiles for slide_id, tiles in self.slides.items() if slide_id not in failed}
        return replace(self, slides=rest)


def patient(tiles: LabelledTiles) -> str:
    """The unit of the split that a slide belongs to."""
    return patient_of(tiles.entry.slide_id, tiles.entry.patient_id)


class Fold(NamedTuple):
    """One round of a cross-validation.

    Attributes:
        number: Which fold is the test part, from 0.
        folds: Number of folds.
    """

    number: int
    folds: int


def split_cohort(
    slides: Sequence[LabelledTiles],
    config: Config,
    *,
    images: bool = False,
    fold: Fold | None = None,
    by_slide: bool = False,
) -> Cohort:
    """Split the labelled slides into training and validation, whole patients each.

    In a cross-validation one fold is the test part, and a column ``split`` is ignored.

    Raises:
        LeakageError: Some slides are synthetic and some are not, a column ``split`` puts a patient into two parts,
            or the same file is in two parts under different patients.
        ManifestError: The column ``split`` holds other words, or is filled for some slides only.
    """
    _check_one_kind(slides)
    labelled = [tiles for tiles in slides if len(tiles.targets)]
    rows = [
        SplitSlide(
            slide_id=tiles.entry.slide_id,
            patient_id=patient(tiles),
            positive=_positive(_known_targets(tiles, by_slide=by_slide), config.head_records),
            labels=_other_labels(_known_targets(tiles, by_slide=by_slide), config.head_records),
            part=tiles.entry.extra.get("split", "").strip(),
            site=tiles.entry.site,
        )
        for tiles in labelled
    ]
    cohort = Cohort(
        slides={tiles.entry.slide_id: tiles for tiles in labelled},
        parts=_parts(rows, config.training, fold),
        unlabelled=tuple(tiles.entry.slide_id for tiles in slides if not len(tiles.targets)),
        images=images,
        by_slide=by_slide,
        empty=tuple(tiles.entry.slide_id for tiles in slides if tiles.empty),
        empty_positive=sum(_is_positive(tiles, config.head_records) for tiles in slides if tiles.empty),
    )
    _check_files_apart(cohort)
    return cohort


def _parts(rows: Sequence[SplitSlide], training: TrainingConfig, fold: Fold | None) -> dict[str, Part]:
    fraction, seed, group_by = training.validation_fraction, training.seed, training.group_by
    if fold is None:
        return grouped_split(rows, fraction, seed, group_by)
    fold_of = grouped_folds(rows, fold.folds, seed, group_by)
    rest = [replace(row, part="") for row in rows if fold_of[row.slide_id] != fold.number]
    parts: dict[str, Part] = {row.slide_id: "test" for row in rows}
    return parts | grouped_split(rest, fraction, seed, group_by)


def _known_targets(tiles: LabelledTiles, *, by_slide: bool) -> TargetArray:
    """Targets of the tiles; where slide labels are used too, the slide's own target is one more row."""
    if not by_slide or tiles.slide_targets is None:
        return tiles.targets
    return np.concatenate([tiles.targets, tiles.slide_targets[None, :]])


def tiles_per_class(slides: Sequence[LabelledTiles], heads: Sequence[Head]) -> dict[str, float]:
    """Tiles per ``<head>.<class>``, soft targets counted by weight."""
    names = [f"{head.name}.{class_name}" for head in heads for class_name in head.classes]
    sums: FloatArray = np.zeros(len(names))
    for tiles in slides:
        sums += np.nan_to_num(tiles.targets).sum(axis=0, dtype=np.float64)
    return {name: round(float(value), 3) for name, value in zip(names, sums, strict=True)}


def cohort_notes(cohort: Cohort) -> list[str]:
    """Lines on the cohort for the terminal and the model card."""
    notes: list[str] = []
    names: dict[Part, str] = {"train": "Training", "validation": "Validation", "test": "Test"}
    for part, name in names.items():
        if slides := cohort.of(part):
            tiles, patients = sum(len(s.targets) for s in slides), len({patient(s) for s in slides})
            whole = f"{tiles} images" if cohort.images else f"{tiles} tiles of {len(slides)} slides"
            notes.append(f"{name}: {whole} of {patients} {'groups' if cohort.images else 'patients'}.")
            if cohort.by_slide:
                known = sum(int(known_rows(s.targets).sum()) for s in slides)
                notes.append(
                    f"Of these tiles, {known} have a label of their own; the slides' labels are used through attention."
                )
    if left_out := sum(tiles.selection.left_out for tiles in cohort.used()):
        notes.append(f"{left_out} labelled tiles were left out by training.max_tiles_per_slide.")
    if cohort.unlabelled:
        what = "images have no label" if cohort.images else "slides have no labelled tile"
        notes.append(f"{len(cohort.unlabelled)} {what} and were not used.")
    if cohort.empty:
        named = ", ".join(cohort.empty[:3]) + (", …" if len(cohort.empty) > 3 else "")
        notes.append(
            f"On {len(cohort.empty)} of these slides nothing was found to cut tiles around ({named})."
        )
    if unnamed := sum(not tiles.entry.patient_id for tiles in cohort.used()):
        notes.append(
            f"{unnamed} slides have no patient_id, and each counts as a patient of its own: where two are of "
            "one patient, the metrics are too good."
        )
    return notes


def left_out_notes(cohort: Cohort, heads: Sequence[Head]) -> list[str]:
    """A line for the card where slides without a tile are missing from the metrics: they can be neither flagged nor split."""
    if not cohort.empty:
        return []
    flag = flagging_head(heads).flag_class
    count = len(cohort.empty)
    line = f"{count} slide{' without a tile is' if count == 1 else 's without a tile are'} in no metric"
    if cohort.empty_positive:
        line += f", {cohort.empty_positive} of them labelled {flag}: on all slides expect a lower sensitivity"
    return [f"{line}."]


def trained_on_facts(cohort: Cohort, heads: Sequence[Head]) -> TrainedOn:
    """The cohort in counts, without any identifier."""
    entries = [tiles.entry for tiles in cohort.used()]
    return TrainedOn(
        synthetic=cohort.synthetic,
        slides=len(entries),
        patients=len({patient(tiles) for tiles in cohort.used()}),
        tiles_per_class=tiles_per_class(cohort.of("train"), heads),
        preparations=sorted({entry.preparation for entry in entries if entry.preparation}),
        stains=sorted({entry.stain for entry in entries if entry.stain}),
        sites=len({entry.site for entry in entries if entry.site}),
        scanners=len({entry.scanner for entry in entries if entry.scanner}),
        images=cohort.images,
        mpp_range=_mpp_range(cohort.used()),
    )


def _mpp_range(slides: Sequence[LabelledTiles]) -> tuple[float, float] | None:
    known = [side for tiles in slides if tiles.mpp is not None for side in (tiles.mpp.x, tiles.mpp.y)]
    return (min(known), max(known)) if known else None


def _check_one_kind(slides: Sequence[LabelledTiles]) -> None:
    synthetic = [tiles.entry.slide_id for tiles in slides if tiles.synthetic]
    real = [tiles.entry.slide_id for tiles in slides if not tiles.synthetic]
    if synthetic and real:
        raise LeakageError(
            f"expected slides that are all real or all synthetic, found {len(synthetic)} synthetic ones such as "
            f"{synthetic[0]!r} among {len(real)} real ones such as {real[0]!r}; list them in separate tables"
        )


def _check_files_apart(cohort: Cohort) -> None:
    first: dict[str, str] = {}
    for slide_id, tiles in cohort.slides.items():
        other = first.setdefault(tiles.source_sha256, slide_id)
        if cohort.parts[other] != cohort.parts[slide_id]:
            what, column = ("images", "group") if cohort.images else ("slides", "patient_id")
            raise LeakageError(
                f"{what} {other!r} and {slide_id!r} are the same file, but one is in {cohort.parts[other]} and one in "
                f"{cohort.parts[slide_id]}; list it once, or give both the same {column}"
            )


def _positive(targets: TargetArray, heads: Sequence[Head]) -> bool | None:
    """Whether any tile has the flag class; None where no tile is labelled."""
    own = targets[:, flag_column(heads)]
    known = own[~np.isnan(own)]
    return bool((known > 0.5).any()) if len(known) else None


def _is_positive(tiles: LabelledTiles, heads: Sequence[Head]) -> bool:
    """Whether the slide's own label is the flag class."""
    return tiles.slide_targets is not None and bool(_positive(tiles.slide_targets[None, :], heads))


def _other_labels(targets: TargetArray, heads: Sequence[Head]) -> tuple[str, ...]:
    flagging = flagging_head(heads).name
    return tuple(
        f"{head.name}.{class_name}"
        for head, columns in zip(heads, head_slices(heads).values(), strict=True)
        if head.name != flagging
        for class_name, column in zip(head.classes, targets[:, columns].T, strict=True)
        if (np.nan_to_num(column) > 0.5).any()
    )

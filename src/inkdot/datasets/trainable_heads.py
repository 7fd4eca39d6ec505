"""Which heads a cohort has labels for, known before any slide is tiled or image read.

A head without labels of all its classes is left out of the model with a note; the flagging head is needed, so training is
refused without labels of it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from inkdot.annotations import dialect_of, read_annotation
from inkdot.config import Config
from inkdot.datasets.splits.grouped_split import patient_of
from inkdot.errors import InkdotError, UserError
from inkdot.labels import Head, flagging_head
from inkdot.manifest.images import ImageEntry
from inkdot.records import SlideEntry
from inkdot.slides import open_slide
from inkdot.storage.tables.labels_table import read_labels

RegionLabels = Mapping[str, Collection[tuple[str, str]]]
"""(head, label) of the labelled regions, by slide_id."""

_CERTAIN = 0.5


@dataclass(frozen=True, slots=True)
class LabelledPatients:
    """Patients (or groups of images) with a training label of each class.

    Attributes:
        of_class: Names of patients by (head, class); a label counts for every class that it gives weight to.
        whose: What they are, for messages: patients or groups.
        source: Where labels may be, for messages.
        example: What has a label, for messages.
    """

    of_class: Mapping[tuple[str, str], set[str]]
    whose: str
    source: str
    example: str = "slide or region"

    def count(self, head: str, class_name: str) -> int:
        """Number of patients with the class."""
        return len(self.of_class.get((head, class_name), ()))


@dataclass(frozen=True, slots=True)
class TrainableHeads:
    """The heads that can be trained.

    Attributes:
        config: The config without the others.
        notes: A line per head that is left out or rests on one patient, for the terminal and the model card.
    """

    config: Config
    notes: list[str] = field(default_factory=list[str])


def labelled_patients(
    entries: Sequence[SlideEntry], config: Config, regions: RegionLabels | None = None
) -> LabelledPatients:
    """Patients with a label of each class that training can use, of slides or of regions.

    Labels tables are read whole. Slides are opened for annotations of other formats only as long as a class lacks patients;
    what cannot be read is skipped, since tiling reports it.

    Args:
        entries: The slides.
        config: The whole config.
        regions: Labels of regions where they are known already; else they are read.
    """
    heads, needed = config.head_records, _patients_needed(None) + 1
    of_class: dict[tuple[str, str], set[str]] = {}

    def enough() -> bool:
        return all(
            len(of_class.get((head.name, name), ())) >= needed for head in heads for name in head.classes
        )

    of_slide = {entry.slide_id: entry for entry in entries}
    for entry in entries:
        _add(of_class, patient_of(entry.slide_id, entry.patient_id), _usable(entry, config), heads)
    unread: list[str] = []
    found = regions.items() if regions is not None else _regions(entries, config, enough, unread)
    for slide_id, labels in found:
        if slide_id in of_slide:
            _add(of_class, patient_of(slide_id, of_slide[slide_id].patient_id), labels, heads)
    source = "in columns, labels tables or annotations"
    if any(entry.of_patient for entry in entries):
        source += " (columns patient_ are for evaluation and train nothing)"
    if unread:
        many = "1 annotation" if len(unread) == 1 else f"{len(unread)} annotations"
        source += f" ({many} could not be read, the first: {unread[0]})"
    return LabelledPatients(of_class, "patients", source)


def labelled_groups(entries: Sequence[ImageEntry], heads: Sequence[Head]) -> LabelledPatients:
    """Groups of images with a label of each class."""
    of_class: dict[tuple[str, str], set[str]] = {}
    for entry in entries:
        _add(of_class, entry.group, entry.labels.items(), heads)
    return LabelledPatients(of_class, "groups", "in the columns of the heads", "image")


def trainable_heads(labels: LabelledPatients, config: Config, folds: int | None = None) -> TrainableHeads:
    """Leave out heads without labels of each of their classes, and refuse a cohort that cannot train the flagging head.

    Args:
        labels: Who has labels.
        config: The whole config.
        folds: Of a cross-validation, where the patients of each fold are missing in its training.

    Raises:
        UserError: No label of any head, or too few patients with a class of the flagging head; the message names it.
    """
    heads, flagging = config.head_records, flagging_head(config.head_records)
    names = ", ".join(head.name for head in heads)
    if not any(labels.of_class.values()):
        raise UserError(
            f"expected labels to train on, found none of any head ({names}) {labels.source}; fill in the column "
            f"{_column(flagging.name, config)}{', or mark regions' if labels.whose == 'patients' else ''}"
        )
    needed = _patients_needed(folds)
    if any(labels.count(flagging.name, name) < needed for name in flagging.classes):
        raise UserError(_too_few(labels, needed, config))
    notes: list[str] = []
    left_out: list[str] = []
    for head in heads:
        if head is flagging:
            continue
        missing = [name for name in head.classes if not labels.count(head.name, name)]
        if missing:
            left_out.append(head.name)
            notes.append(_left_out(head, missing, labels.example))
            continue
        notes += [
            f"head {head.name}: only one of the {labels.whose} has a label of class {name}: the class is without validation or "
            "without training; label more"
            for name in head.classes
            if labels.count(head.name, name) == 1
        ]
    trained, further = without_heads(config, left_out)
    return TrainableHeads(trained, notes + further)


def without_heads(config: Config, names: Collection[str]) -> tuple[Config, list[str]]:
    """The config without some heads, and those that depend on them; what names them elsewhere is removed too.

    Returns:
        The config, and a line for each further consequence.
    """
    lost, notes = set(names), list[str]()
    if not lost:
        return config, notes
    while dependent := next(
        (head for head in config.heads if head.name not in lost and lost & set(head.condition)), None
    ):
        lost.add(dependent.name)
        other = next(iter(dependent.condition))
        notes.append(f"head {dependent.name}: left out too, since it applies only by head {other}")
    training = config.training
    if training.balance_by in lost:
        notes.append(
            f"training.balance_by: {training.balance_by} is left out; the flagging head balances the epochs"
        )
    kept = {name: meaning for name, meaning in config.annotations.classes.items() if set(meaning) - lost}
    annotations = config.annotations.model_copy(
        update={
            "classes": {
                name: {head: label for head, label in meaning.items() if head not in lost}
                for name, meaning in kept.items()
            },
            "ignore": [*config.annotations.ignore, *(set(config.annotations.classes) - set(kept))],
        }
    )
    columns = {head: column for head, column in config.images.heads.items() if head not in lost}
    update = {
        "heads": [head for head in config.heads if head.name not in lost],
        "training": training.model_copy(
            update={
                "head_weights": {
                    head: weight for head, weight in training.head_weights.items() if head not in lost
                },
                "balance_by": None if training.balance_by in lost else training.balance_by,
            }
        ),
        "images": config.images.model_copy(update={"heads": columns}),
        "annotations": annotations,
    }
    return config.model_copy(update=update), notes


def _patients_needed(folds: int | None) -> int:
    """Patients per class of the flagging head: one to train, one to validate, and one more whom a fold holds out."""
    return 2 if folds is None else 3


def _usable(entry: SlideEntry, config: Config) -> Iterator[tuple[str, str]]:
    """Labels of a whole slide that training can use; see :mod:`inkdot.tiling.tile_labels` for those of its tiles."""
    heads = {head.name: head for head in config.head_records}
    for name, label in entry.on_slide.items():
        head = heads.get(name)
        if head is None or not head.labels.get(label):
            continue
        if head.flag_class is not None and config.training.mil.use == "never":
            if not head.labels[label].get(head.flag_class, 0.0):
                yield name, label  # a slide without the flag class labels all its tiles
            continue
        if head.condition is not None and not _met(entry, head, heads):
            continue
        yield name, label


def _met(entry: SlideEntry, head: Head, heads: Mapping[str, Head]) -> bool:
    """Whether a slide's own label meets the condition of a head; regions may meet it where there are some."""
    assert head.condition is not None
    other, class_name = head.condition
    weights = heads[other].labels.get(entry.on_slide.get(other, ""), {})
    return entry.annotation is not None or weights.get(class_name, 0.0) > _CERTAIN


def _regions(
    entries: Sequence[SlideEntry], config: Config, enough: Callable[[], bool], unread: list[str]
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    heads, tables = config.head_records, set[str]()
    single: list[SlideEntry] = []
    for entry in entries:
        path = entry.annotation
        if path is None or str(path) in tables:
            continue
        try:
            if dialect_of(path) != "labels":
                single.append(entry)
                continue
            tables.add(str(path))
            for label in read_labels(path, heads, other_heads="skip"):
                yield label.slide_id, [(label.head, label.label)]
        except InkdotError as error:
            unread.append(f"{entry.slide_id}: {error}")
    for entry in single:
        if enough():
            return
        try:
            with closing(open_slide(entry)) as slide:
                assert entry.annotation is not None
                found = read_annotation(entry.annotation, slide.info, config.annotations, heads)
        except InkdotError as error:
            unread.append(f"{entry.slide_id}: {error}")
            continue
        yield entry.slide_id, [(label.head, label.label) for label in found.labels]


def _add(
    of_class: dict[tuple[str, str], set[str]],
    patient: str,
    labels: Iterable[tuple[str, str]],
    heads: Sequence[Head],
) -> None:
    meanings = {head.name: head.labels for head in heads}
    for name, label in labels:
        for class_name, weight in meanings.get(name, {}).get(label, {}).items():
            if weight > 0.0:
                of_class.setdefault((name, class_name), set()).add(patient)


def _column(head: str, config: Config) -> str:
    return config.images.heads.get(head, head)


def _left_out(head: Head, missing: Sequence[str], example: str) -> str:
    change = "label some, or remove the head from the config"
    if len(missing) == len(head.classes):
        return f"head {head.name}: no {example} has a label of it: it is left out of the model; {change}"
    which = f"class{'es' if len(missing) > 1 else ''} {', '.join(missing)}"
    return (
        f"head {head.name}: no {example} has a label of {which}, and what is never seen cannot be told apart: the head is "
        f"left out of the model; {change}"
    )


def _too_few(labels: LabelledPatients, needed: int, config: Config) -> str:
    head = flagging_head(config.head_records)
    why = "one for training and one for validation"
    why += "" if needed == 2 else " beside the held-out fold"
    found = " and ".join(f"{labels.count(head.name, name)} with {name}" for name in head.classes)
    remedies = [f"label more {labels.whose}"]
    if labels.whose == "patients" and config.training.mil.use == "never":
        remedies.append("train on labels of slides alone (training.mil.use: needed)")
    return (
        f"head {head.name}: expected at least {needed} {labels.whose} with each class, {why}, found {found} {labels.source}; "
        f"training would stop: {', or '.join(remedies)}"
    )

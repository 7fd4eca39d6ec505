"""Whether a cohort has the labels that training and validation need."""

import numpy as np

from inkdot.config import Config
from inkdot.datasets.cohort import Cohort, patient, tiles_per_class
from inkdot.errors import UserError
from inkdot.labels import flagging_head
from inkdot.metrics.splits import Part
from inkdot.model.targets import NameArray, TargetArray
from inkdot.training.fit.monitor import check_monitored


def check_labels(cohort: Cohort, config: Config) -> None:
    """Every class needs tiles to learn from, the flagging head both sides to be judged on, and patients as watched.

    Raises:
        UserError: A class is missing; the message names it.
    """
    heads = config.head_records
    flagging = flagging_head(heads).name
    parts: tuple[Part, ...] = ("train", "validation")
    for part in parts:
        counts = _examples_per_class(cohort, part, config)
        for head in heads:
            # Another head may go unjudged, and then has no metric, but never untaught: its scores would be noise.
            if part == "validation" and head.name != flagging:
                continue
            for class_name in head.classes:
                if not counts[f"{head.name}.{class_name}"]:
                    raise UserError(_missing(head.name, class_name, part, cohort, config))
    if config.training.checkpoint == "best" or cohort.by_slide:
        check_monitored(*_validation_targets(cohort), config)


def _validation_targets(cohort: Cohort) -> tuple[TargetArray, NameArray]:
    """What the best epoch is chosen on: targets of validation tiles or slides, and the patient of each."""
    said = [
        (patient(tiles), targets)
        for tiles in cohort.of("validation")
        if (targets := tiles.slide_targets if cohort.by_slide else tiles.targets) is not None
    ]
    names = [np.repeat(name, len(np.atleast_2d(targets))) for name, targets in said]
    return np.concatenate([np.atleast_2d(targets) for _, targets in said]), np.concatenate(names)


def _examples_per_class(cohort: Cohort, part: Part, config: Config) -> dict[str, float]:
    """Tiles per ``<head>.<class>``; where slides teach, these too, and of the flagging head these alone.

    A negative slide's tiles stand for it, but learning from slides needs slides on both sides.
    """
    slides = cohort.of(part)
    counts = tiles_per_class(slides, config)
    if cohort.by_slide:
        known = [tiles.slide_targets for tiles in slides if tiles.slide_targets is not None]
        sums = np.nan_to_num(np.array(known)).reshape(-1, len(counts)).sum(axis=0)
        flagging = flagging_head(config.head_records).name
        counts = {
            name: float(value) + (0.0 if name.startswith(f"{flagging}.") else counts[name])
            for name, value in zip(counts, sums, strict=True)
        }
    return counts


def _missing(head: str, class_name: str, part: Part, cohort: Cohort, config: Config) -> str:
    slides = cohort.of(part)
    patients = len({patient(tiles) for tiles in slides})
    what, whose = ("images", "groups") if cohort.images else ("slides", "patients")
    flagging = head == flagging_head(config.head_records).name
    further = "have no label" if cohort.images else "have no labelled tile"
    remedies = [
        f"label more {whose}" if flagging else "label some, or leave the head out of the config's heads"
    ]
    if flagging and cohort.unlabelled and not cohort.images and config.training.mil.use == "never":
        remedies.append("let slides' labels teach alone (training.mil.use: needed)")
    if config.training.group_by == "site":
        remedies.append("let sites be torn apart (training.group_by: patient)")
    remedies.append(
        f"share the {whose} out with a column split in the {'table' if cohort.images else 'manifest'}"
    )
    wanted = f"{'training' if part == 'train' else 'validation'} {'images' if cohort.images else 'tiles'}"
    return (
        f"head {head}: expected {wanted} of class {class_name!r}, found none on {len(slides)} {what} of {patients} {whose} "
        f"({len(cohort.unlabelled)} further {what} {further}); {', or '.join(remedies)}"
    )

"""Whether a cohort has the labels that training and validation need."""

from collections.abc import Sequence

import numpy as np

from inkdot.config import Config
from inkdot.datasets.cohort import Cohort, patient, tiles_per_class
from inkdot.datasets.splits.grouped_split import Part
from inkdot.errors import UserError
from inkdot.labels import Head, flagging_head
from inkdot.model.targets import NameArray, TargetArray
from inkdot.training.fit.monitor import check_monitored


def untrained_heads(cohorts: Sequence[Cohort], config: Config) -> dict[str, str]:
    """Heads besides the flagging one without training data of a class, and why each is left out, by name.

    Whether labels of regions reach a tile, and on which side of the split their patients are, is known only once the slides
    are tiled. See :func:`inkdot.datasets.trainable_heads.trainable_heads` for what is known before.

    Args:
        cohorts: The cohort, or that of each fold: a head must be trained in all of them.
        config: The whole config.
    """
    heads, flagging = config.head_records, flagging_head(config.head_records).name
    reasons: dict[str, str] = {}
    for cohort in cohorts:
        counts = _examples_per_class(cohort, "train", heads)
        for head in heads:
            missing = [name for name in head.classes if not counts[f"{head.name}.{name}"]]
            if head.name != flagging and missing and head.name not in reasons:
                what = "image" if cohort.images else "tile"
                reasons[head.name] = (
                    f"head {head.name}: no {what} for training has a label of {' or '.join(missing)}: it is left out of the "
                    f"model; label more {'groups' if cohort.images else 'patients'}"
                )
    return reasons


def check_labels(cohort: Cohort, config: Config) -> None:
    """Refuse a cohort without training tiles of a class, or without validation data of a class of the flagging head.

    Raises:
        UserError: A class is missing, or ``training.monitor`` is undefined; the message names what.
    """
    heads = config.head_records
    flagging = flagging_head(heads).name
    parts: tuple[Part, ...] = ("train", "validation")
    for part in parts:
        counts = _examples_per_class(cohort, part, heads)
        for head in heads:
            # Without validation tiles another head has no metrics; without training tiles its scores would be noise.
            if part == "validation" and head.name != flagging:
                continue
            for class_name in head.classes:
                if not counts[f"{head.name}.{class_name}"]:
                    raise UserError(_missing(head.name, class_name, part, cohort, config))
    if config.training.checkpoint == "best" or cohort.by_slide:
        check_monitored(*_validation_targets(cohort), config)


def _validation_targets(cohort: Cohort) -> tuple[TargetArray, NameArray]:
    """Data that chooses the best epoch: targets of validation tiles or slides, and the patient of each."""
    labelled = [
        (patient(tiles), targets)
        for tiles in cohort.of("validation")
        if (targets := tiles.slide_targets if cohort.by_slide else tiles.targets) is not None
    ]
    names = [np.repeat(name, len(np.atleast_2d(targets))) for name, targets in labelled]
    return np.concatenate([np.atleast_2d(targets) for _, targets in labelled]), np.concatenate(names)


def _examples_per_class(cohort: Cohort, part: Part, heads: Sequence[Head]) -> dict[str, float]:
    """Tiles per ``<head>.<class>``; for MIL slides too, and slides alone for the flagging head.

    A negative slide labels its tiles, but MIL needs slides of both classes.
    """
    slides = cohort.of(part)
    counts = tiles_per_class(slides, heads)
    if cohort.by_slide:
        known = [tiles.slide_targets for tiles in slides if tiles.slide_targets is not None]
        sums = np.nan_to_num(np.array(known)).reshape(-1, len(counts)).sum(axis=0)
        flagging = flagging_head(heads).name
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
        remedies.append("train on labels of slides alone (training.mil.use: needed)")
    if config.training.group_by == "site":
        remedies.append("split sites (training.group_by: patient)")
    remedies.append(
        f"assign the {whose} with a column split in the {'table' if cohort.images else 'manifest'}"
    )
    expected = f"{'training' if part == 'train' else 'validation'} {'images' if cohort.images else 'tiles'}"
    return (
        f"head {head}: expected {expected} of class {class_name!r}, found none on {len(slides)} {what} of {patients} {whose} "
        f"({len(cohort.unlabelled)} further {what} {further}); {', or '.join(remedies)}"
    )

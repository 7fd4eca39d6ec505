"""``study.json``: the readers of a study, their two readings of every case, the order of each, and the wash-out between them."""

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inkdot.bounded_json import parse_json
from inkdot.errors import StorageError, UserError
from inkdot.storage.atomic import write_text

STUDY_VERSION: Final = "inkdot.study/1"
ARMS: Final = ("blinded", "scores")
"""What a reader sees: places without any output of the model, or with its scores and calls."""

Arm = Literal["blinded", "scores"]
_Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Reading(_Record):
    """One reading of all cases by one reader.

    Attributes:
        arm: What is shown.
        order_seed: Seed of the order of slides and, blinded, of their places; names the reading in stored answers.
        slides: The slides in their order, training cases first.
    """

    arm: Arm
    order_seed: _Name
    slides: tuple[_Name, ...]

    @property
    def blinded_seed(self) -> int | None:
        """Seed of the order of places in a blinded reading; None where scores are shown."""
        if self.arm != "blinded":
            return None
        return int.from_bytes(hashlib.sha256(self.order_seed.encode("utf-8")).digest()[:4], "big")


class ReaderPlan(_Record):
    """The two readings of one reader, in their order."""

    reader: _Name
    first: Reading
    second: Reading


class StudyDesign(_Record):
    """A crossed study: every reader reads every case in both arms.

    Attributes:
        version: Of the file.
        seed: Seed of all orders and of who begins with which arm.
        washout_days: Least days between a reader's last answer of the first reading and the second reading.
        top_n: Places shown of each slide.
        model_sha256: Model whose places are shown.
        cases: Slides that count, sorted.
        training: Slides shown first in the first reading, to learn the program; they do not count.
        readers: The readers.
    """

    version: Literal["inkdot.study/1"] = STUDY_VERSION
    seed: int
    washout_days: Annotated[float, Field(ge=0, le=3650)]
    top_n: Annotated[int, Field(ge=1, le=120)]
    model_sha256: str
    cases: tuple[_Name, ...]
    training: tuple[_Name, ...]
    readers: tuple[ReaderPlan, ...]

    @model_validator(mode="after")
    def _is_crossed(self) -> Self:
        cases, training = set(self.cases), set(self.training)
        if cases & training:
            raise ValueError(f"{min(cases & training)!r} is a case and a training case")
        names = [plan.reader for plan in self.readers]
        if len(names) != len(set(names)):
            raise ValueError("a reader is named twice")
        seeds = [reading.order_seed for plan in self.readers for reading in (plan.first, plan.second)]
        if len(seeds) != len(set(seeds)):
            raise ValueError("two readings have the same order_seed")
        for plan in self.readers:
            if {plan.first.arm, plan.second.arm} != set(ARMS):
                raise ValueError(f"reader {plan.reader!r} does not read in both arms")
            if set(plan.first.slides) != cases | training or set(plan.second.slides) != cases:
                raise ValueError(f"reader {plan.reader!r} does not read every case twice")
        return self

    def plan_of(self, reader: str) -> ReaderPlan:
        """The readings of one reader.

        Raises:
            UserError: The study has no such reader.
        """
        for plan in self.readers:
            if plan.reader == reader:
                return plan
        names = ", ".join(plan.reader for plan in self.readers)
        raise UserError(
            f"--reader {reader[:60]}: expected a reader of the study ({names}), found no such one"
        )


def make_design(
    cases: Sequence[str],
    readers: Sequence[str],
    *,
    training: Sequence[str] = (),
    seed: int,
    washout_days: float,
    top_n: int,
    model_sha256: str,
) -> StudyDesign:
    """Draw who begins with which arm, and the order of every reading.

    One half of the readers begins with each arm, so that what is learnt from the first reading does not favour one. The same seed
    and names give the same design.

    Args:
        cases: slide_ids that count.
        readers: Pseudonyms of the readers.
        training: slide_ids shown first, that do not count.
        seed: Seed of the draws.
        washout_days: Least days between the readings.
        top_n: Places shown of each slide.
        model_sha256: Model whose places are shown.

    Raises:
        UserError: Two names are the same, or a slide is a case and a training case.
    """
    mixed = sorted(readers)
    random.Random(f"{seed}/arms").shuffle(mixed)
    begins_blinded = set(mixed[: (len(mixed) + 1) // 2])
    plans: list[ReaderPlan] = []
    for reader in readers:
        arms: tuple[Arm, Arm] = ("blinded", "scores") if reader in begins_blinded else ("scores", "blinded")
        readings = [
            Reading(
                arm=arm,
                order_seed=f"{seed}/{reader}/{number}",
                slides=(
                    *(training if number == 1 else ()),
                    *_shuffled(cases, f"{seed}/{reader}/{number}"),
                ),
            )
            for number, arm in enumerate(arms, start=1)
        ]
        plans.append(ReaderPlan(reader=reader, first=readings[0], second=readings[1]))
    try:
        return StudyDesign(
            seed=seed,
            washout_days=washout_days,
            top_n=top_n,
            model_sha256=model_sha256,
            cases=tuple(sorted(cases)),
            training=tuple(training),
            readers=tuple(plans),
        )
    except ValidationError as error:
        raise UserError(f"expected a study that can be made, found: {_reason(error)}") from None


def write_design(path: Path, design: StudyDesign) -> None:
    """Write the study as JSON."""
    write_text(path, design.model_dump_json(indent=1) + "\n")


def read_design(path: Path) -> StudyDesign:
    """Read a study.

    Raises:
        StorageError: The file is missing, of another version, or damaged.
    """
    try:
        return StudyDesign.model_validate(parse_json(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise StorageError(
            f"{path}: expected a study of `inkdot review study make`, found {error.strerror or error}"
        ) from None
    except ValidationError as error:
        raise StorageError(
            f"{path}: expected a study ({STUDY_VERSION}), found: {_reason(error)}; use the file as it was made"
        ) from None
    except ValueError:
        raise StorageError(
            f"{path}: expected a study ({STUDY_VERSION}), found no JSON; use the file as it was made"
        ) from None


def _shuffled(cases: Sequence[str], seed: str) -> list[str]:
    order = sorted(cases)
    random.Random(seed).shuffle(order)  # a string seed is the same on every machine
    return order


def _reason(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"[:300].strip(": ")

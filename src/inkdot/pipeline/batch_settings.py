"""Settings that every batch command shares."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from inkdot.execution.backends import ExecutionSettings
from inkdot.manifest import with_overrides
from inkdot.records import SlideEntry


@dataclass(frozen=True, slots=True)
class SlideOverrides:
    """Values that replace those of every slide of a batch; None keeps them.

    Attributes:
        mpp: Micrometres per pixel.
        stain: Stain.
        preparation: Preparation.
    """

    mpp: float | None = None
    stain: str | None = None
    preparation: str | None = None

    def apply(self, entries: Sequence[SlideEntry]) -> list[SlideEntry]:
        """The entries with the values replaced.

        Raises:
            ManifestError: The mpp is not above 0, or the preparation is unknown.
        """
        return with_overrides(entries, mpp=self.mpp, stain=self.stain, preparation=self.preparation)


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How a batch of slides is processed.

    Attributes:
        overrides: Values that replace those of every slide.
        execution: Where slides are processed.
        retry_failed: Process only slides that an earlier run into the folder did not finish.
        dry_run: Print what would be done with each slide, and write nothing.
    """

    overrides: SlideOverrides = field(default_factory=SlideOverrides)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    retry_failed: bool = False
    dry_run: bool = False

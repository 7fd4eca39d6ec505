"""Settings that every batch command shares."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inkdot.execution.backends import ExecutionSettings
from inkdot.manifest import with_overrides
from inkdot.pipeline.shards import Shard
from inkdot.records import SlideEntry
from inkdot.storage.layout import RunLayout


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
        shard: The part of the list that is processed; None for all of it.
    """

    overrides: SlideOverrides = field(default_factory=SlideOverrides)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    retry_failed: bool = False
    dry_run: bool = False
    shard: Shard | None = None

    def layout(self, out: Path) -> RunLayout:
        """The files of the run folder, with the ledger and the lock of the shard."""
        return RunLayout(out, self.shard.name if self.shard else "")

    def own(self, entries: Sequence[SlideEntry]) -> list[SlideEntry]:
        """The slides that this process works on."""
        return self.shard.entries(entries) if self.shard else list(entries)

    def again(self, entries: Sequence[SlideEntry], todo: Sequence[SlideEntry]) -> list[SlideEntry]:
        """The slides to which this run's overrides apply: those that it processes, and those of the shards beside it."""
        if self.retry_failed or not self.shard:
            return list(todo)
        return list(entries)

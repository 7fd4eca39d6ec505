"""Paths of files for other programs and of comparisons, beside those of :mod:`inkdot.storage.layout`."""

from dataclasses import dataclass
from pathlib import Path

from inkdot.storage.layout import Folder


@dataclass(frozen=True, slots=True)
class ComparisonLayout(Folder):
    """Files of a comparison of models."""

    @property
    def markdown(self) -> Path:
        """The comparison as text."""
        return self.root / "compare.md"

    @property
    def json(self) -> Path:
        """The same for programs."""
        return self.root / "compare.json"

    @property
    def plot(self) -> Path:
        """Differences and ROC curves."""
        return self.root / "compare.svg"


@dataclass(frozen=True, slots=True)
class ExportLayout(Folder):
    """Files of a model exported for another program."""

    @property
    def metadata(self) -> Path:
        """Metadata needed to use the files, as JSON."""
        return self.root / "inkdot.json"

    @property
    def card(self) -> Path:
        """Model card."""
        return self.root / "card.md"

    def file(self, name: str) -> Path:
        """A file with the name that the other program expects."""
        return self.root / name

"""What all parts of a training run share."""

# pyright: reportUnknownMemberType=false

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from lightning.fabric import Fabric
from rich.console import Console
from rich.text import Text

from inkdot.config import Config
from inkdot.storage.embeddings.slide_embeddings import Embeddings
from inkdot.storage.layout import RunLayout


@dataclass(frozen=True, slots=True)
class RunContext:
    """Processes, settings, output folder and terminal of a training run.

    Attributes:
        fabric: The processes and the device of this one; launched.
        config: The whole config.
        layout: The run folder, or that of one phase or fold.
        console: Where progress is shown; quiet except on rank zero.
        embeddings_of: Embeddings of all tiles of a slide, by slide_id, where the backbone is frozen: they stand for its pixels.
    """

    fabric: Fabric
    config: Config
    layout: RunLayout
    console: Console
    embeddings_of: Callable[[str], Embeddings] | None = None

    def within(self, layout: RunLayout) -> "RunContext":
        """The same for a folder of one phase or fold."""
        return replace(self, layout=layout)

    def with_training(self, **settings: object) -> "RunContext":
        """The same with other values of keys under ``training``."""
        training = self.config.training.model_copy(update=settings)
        return replace(self, config=self.config.model_copy(update={"training": training}))

    def print(self, lines: Iterable[str]) -> None:
        """Print lines literally: names from a manifest are not markup."""
        print_lines(self.console, lines)


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines literally: names from a manifest are not markup."""
    for line in lines:
        console.print(Text(line), soft_wrap=True)

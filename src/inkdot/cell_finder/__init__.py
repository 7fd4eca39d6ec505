"""A learned finder of nucleated cells: network, weights, and decoding of its output."""

from inkdot.cell_finder.cells import Cells
from inkdot.cell_finder.finder import FINDER_MPP, CellFinder, load_cell_finder

__all__ = ["FINDER_MPP", "CellFinder", "Cells", "load_cell_finder"]

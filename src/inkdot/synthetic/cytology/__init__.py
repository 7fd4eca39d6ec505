"""Synthetic cell spots: groups of cells, confounders, and where they settle."""

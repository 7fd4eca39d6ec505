"""Synthetic cell spots: groups of cells, confounders, and their positions."""

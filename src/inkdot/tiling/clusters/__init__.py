"""Cells and clusters on sparse slides, and the tiles around them."""

"""Rendering of a scene: stain, optics and scanner."""

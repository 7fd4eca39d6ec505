"""Synthetic specimens: for tests, benchmarks and the first-run demonstration only, and labelled so everywhere."""

GENERATOR_VERSION = 2
"""Rises whenever the same seed draws other slides: slides of an older version are made anew, not kept."""

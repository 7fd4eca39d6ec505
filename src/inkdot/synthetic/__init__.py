"""Synthetic specimens: for tests, benchmarks and the first-run demonstration only, and labelled so everywhere."""

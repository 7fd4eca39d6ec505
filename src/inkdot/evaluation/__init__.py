"""Labelled slides and images scored by a model: metrics per patient, slide and region, and the report."""

"""Scores and embeddings of one slide's tiles: checks of model against slide, inference, files."""

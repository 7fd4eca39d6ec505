"""Evaluation of models of images: what they take, scoring, results and the report."""

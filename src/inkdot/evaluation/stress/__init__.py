"""Robustness of a model under graded changes: the metrics, and the files of ``inkdot stress``."""

"""Confidence intervals and paired tests, with patients as units."""

"""Sections of the evaluation report, one question each."""

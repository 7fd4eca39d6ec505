"""Inkdot: finds and ranks suspicious cell clusters on sparse cytology and histology slides.

Research use only: it flags, people diagnose.
"""

__version__ = "0.1.0"

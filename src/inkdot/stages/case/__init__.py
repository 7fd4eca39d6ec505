"""The commands of ``inkdot case``."""

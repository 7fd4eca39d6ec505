"""Verdicts of readers: read, checked and matched to regions."""

"""Synthetic tissue sections."""

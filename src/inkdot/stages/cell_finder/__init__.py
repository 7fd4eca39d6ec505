"""``inkdot cell-finder``: one file per command."""

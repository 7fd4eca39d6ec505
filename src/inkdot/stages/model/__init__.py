"""``inkdot model``: one file per command."""

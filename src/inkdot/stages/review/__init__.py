"""``inkdot review``: one file per command."""

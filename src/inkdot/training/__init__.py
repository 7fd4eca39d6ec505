"""From labelled tiles to a released model."""

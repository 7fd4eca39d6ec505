"""Every file between stages: its path, its schema, and how it is written. Stages exchange data only through these."""

"""Which regions to ask a reader about next."""

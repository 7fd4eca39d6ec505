"""Active learning: which regions to review next."""

"""Which patients, slides and labels a synthetic cohort has."""

"""Plans of studies: how many patients, cases or readers."""

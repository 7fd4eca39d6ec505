"""Several models on the same patients: metrics of each, and paired differences."""

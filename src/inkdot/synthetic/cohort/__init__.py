"""Patients, slides and labels of a synthetic cohort."""

"""Labelled tiles, images and slides as training takes them: caches, cohorts, splits, sampling, augmentation."""

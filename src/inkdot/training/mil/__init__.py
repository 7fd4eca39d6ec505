"""Multiple-instance learning: training from labels of whole slides."""

"""Random changes of training tiles, and graded ones for measurements of robustness."""

"""Metrics, confidence intervals, splits, thresholds and calibration: NumPy in, numbers out."""

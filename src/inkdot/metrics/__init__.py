"""Metrics, confidence intervals, thresholds and calibration: NumPy in, numbers out."""

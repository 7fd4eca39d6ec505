"""Splits, metrics, intervals, thresholds and calibration: NumPy in, numbers out."""

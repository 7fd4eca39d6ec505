"""What is stored with a trained model: calibration, thresholds, abstention bands, the model card."""

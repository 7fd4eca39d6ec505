"""Where a network runs: PyTorch or OpenVINO, in which precision, in which batches."""

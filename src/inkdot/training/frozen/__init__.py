"""Training with a frozen backbone: tiles are encoded once, and only the heads are trained, on their embeddings."""

"""The network: made, trained, stored, and asked for scores."""

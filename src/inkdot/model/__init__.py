"""The network and all that is needed to predict with it."""

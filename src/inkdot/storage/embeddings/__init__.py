"""Embeddings of slides as HDF5, and the forms of TRIDENT, CLAM and STAMP."""

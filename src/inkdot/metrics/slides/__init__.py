"""From the scores of tiles to those of clusters and slides, and metrics of whole slides."""

"""Single cells, cell clusters and the scene of a slide."""

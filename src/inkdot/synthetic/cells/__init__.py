"""Single synthetic cells and clusters, and the scene that they make up."""

"""Images of a whole slide: overview and heat map."""

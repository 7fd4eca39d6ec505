"""From scores to what a person reads: clusters, the slide's call, warnings, images."""

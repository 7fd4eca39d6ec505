"""From a scene to pixels: stains, light, scanner."""

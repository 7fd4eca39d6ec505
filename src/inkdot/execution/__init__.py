"""Running one task over many slides: worker pools, watchdog, Ray."""

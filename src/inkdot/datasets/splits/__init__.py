"""Which slides or images train, validate and test: whole patients or sites, copies of an image in one part."""

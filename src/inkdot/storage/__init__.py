"""Files between stages: paths, schemas, reading and writing. Stages exchange data only through these files."""

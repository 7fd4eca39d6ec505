"""The case around the slide: ``cases.csv``, reference ranges, evidence level, published models, counts of a person."""

"""Synthetic specimens for tests, benchmarks and the demonstration only, and marked as such everywhere.

- ``cohort``: patients, slides and labels of a cohort; the truth of a slide.
- ``cells``: single cells and clusters; the scene that they form.
- ``cytology``, ``histology``: cell spots, and tissue sections.
- ``rendering``: from a scene to pixels: stain, optics, scanner.
- ``scenes``: from a plan to a scene; ``counterfactuals``: a scene with one change.
- ``achievable_auc``: upper bound of the AUC on synthetic clusters.
"""

GENERATOR_VERSION = 2
"""Raised whenever the same seed gives other slides: slides of an older version are made again."""

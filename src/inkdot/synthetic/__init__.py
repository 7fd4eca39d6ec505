"""Synthetic slides for tests, benchmarks and the demonstration. Every file is marked as synthetic.

- ``cohort``: patients and slides of a cohort; ground truth and labels of a slide.
- ``cells``: single cells and clusters; the scene of a slide.
- ``cytology``: cell spots; ``histology``: tissue sections.
- ``rendering``: stain, optics and scanner; a scene to pixels.
- ``scenes``: from a plan to a scene; ``counterfactuals``: a scene with one change.
"""

GENERATOR_VERSION = 2
"""Raised when the same seed gives other slides. Slides of an older version are made again."""

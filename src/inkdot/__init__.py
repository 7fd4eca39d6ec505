"""Inkdot: finds and ranks suspicious cell clusters on sparse cytology and histology slides.

The names for notebooks and scripts stand in ``_MODULE_OF``. Each is imported when it is first used, so that ``import inkdot``
loads no numerical or network library. ``__init__.pyi`` gives the same names to type checkers and editors.

Research use only: it flags, people diagnose.
"""

from importlib import import_module

__version__ = "0.1.0"

_MODULE_OF = {
    "Clusters": "inkdot.api.clusters",
    "InkdotError": "inkdot.errors",
    "Model": "inkdot.api.model",
    "Results": "inkdot.api.results",
    "Slide": "inkdot.api.slide",
    "SlidePrediction": "inkdot.api.prediction",
    "TrainingRun": "inkdot.api.training",
    "find_clusters": "inkdot.api.clusters",
    "load_config": "inkdot.api.settings",
    "load_model": "inkdot.api.model",
    "make_synthetic_slides": "inkdot.api.synthetic_slides",
    "open_slide": "inkdot.api.slide",
    "read_results": "inkdot.api.results",
    "train_images": "inkdot.api.training",
    "train_slides": "inkdot.api.training",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    if name == "plot":
        value: object = import_module("inkdot.api.plot")
    elif name in _MODULE_OF:
        value = getattr(import_module(_MODULE_OF[name]), name)
    else:
        raise AttributeError(f"module 'inkdot' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List public names, imported or not."""
    return sorted({*globals(), "plot", *_MODULE_OF})

"""How patients differ: fixation, stain uptake, and what their tumour looks like.

The per-cell values of the specification alone would let the diameter tell the two tumours apart without fail.
Real tumours form a continuum, so here every patient's tumour lies somewhere between the two, and benign groups
may be reactive. ``overlap.py`` computes what the best possible reader of these parameters could reach.
"""

from dataclasses import dataclass, replace

import numpy as np

from inkdot.synthetic.cells import Preparation
from inkdot.synthetic.recipes import RECIPES, Recipe, blend


@dataclass(frozen=True, slots=True)
class Patient:
    """What holds for every slide of one patient.

    Attributes:
        preparation: Factors on the size and dye of every nucleus, lymphocytes included.
        tumour: ``small_cell``, ``large_cell``, ``mixed`` or empty.
        recipes: Recipe of every class in this patient.
    """

    preparation: Preparation
    tumour: str
    recipes: dict[str, Recipe]


def draw_patient(tumour: str, rng: np.random.Generator) -> Patient:
    """Draw a patient.

    Args:
        tumour: ``small_cell``, ``large_cell``, ``mixed``, ``any`` or empty.
        rng: Source of chance.
    """
    preparation = Preparation(float(np.exp(rng.normal(0.0, 0.08))), float(np.exp(rng.normal(0.0, 0.10))))
    if tumour == "any":
        tumour = str(rng.choice(["small_cell", "large_cell", "mixed"], p=[0.48, 0.47, 0.05]))
    recipes = dict(RECIPES)
    recipes["small_nec"] = draw_tumour_recipe("small_cell", rng)
    recipes["large_nec"] = draw_tumour_recipe("large_cell", rng)
    recipes["choroid"] = draw_mimic_recipe("choroid", rng)
    recipes["arachnoid"] = draw_mimic_recipe("arachnoid", rng)
    return Patient(preparation, tumour, recipes)


def draw_tumour_recipe(tumour: str, rng: np.random.Generator) -> Recipe:
    """One patient's small-cell or large-cell carcinoma; one in four lies well between the two."""
    between = rng.uniform(0.22, 0.55) if rng.random() < 0.25 else rng.beta(1.2, 9.0)
    share = between if tumour == "small_cell" else 1.0 - between
    recipe = blend(RECIPES["small_nec"], RECIPES["large_nec"], float(share))
    return _varied(recipe, 0.07, rng)


def draw_mimic_recipe(kind: str, rng: np.random.Generator) -> Recipe:
    """Benign cells that form groups; in some patients reactive, with larger and darker nuclei."""
    reactive = rng.uniform(0.2, 0.6) if rng.random() < 0.15 else rng.beta(1.2, 12.0)
    toward = RECIPES["small_nec"] if rng.random() < 0.5 else RECIPES["large_nec"]
    return _varied(blend(RECIPES[kind], toward, float(reactive)), 0.04, rng)


def _varied(recipe: Recipe, spread: float, rng: np.random.Generator) -> Recipe:
    """Shift a recipe's size, darkness and N:C by what one patient differs from another."""
    size = float(np.exp(rng.normal(0.0, spread)))
    shift = float(rng.normal(0.0, 0.03))
    return replace(
        recipe,
        diameter_um=recipe.diameter_um * size,
        smallest_um=recipe.smallest_um * size,
        largest_um=recipe.largest_um * size,
        haematoxylin=recipe.haematoxylin * float(np.exp(rng.normal(0.0, 0.08))),
        nc_low=float(np.clip(recipe.nc_low + shift, 0.2, 0.94)),
        nc_high=float(np.clip(recipe.nc_high + shift, 0.3, 0.97)),
        p_nucleolus=float(np.clip(recipe.p_nucleolus + rng.normal(0.0, 0.10), 0.0, 0.95)),
        fine=recipe.fine * float(np.exp(rng.normal(0.0, 0.5))),
        coarse=recipe.coarse * float(np.exp(rng.normal(0.0, 0.5))),
        vesicular=recipe.vesicular * float(np.exp(rng.normal(0.0, 0.5))),
    )

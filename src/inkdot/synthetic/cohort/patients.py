"""Differences between patients: fixation, stain uptake, appearance of tumour and benign groups.

With one distribution per class, the mean nuclear diameter of a cluster would separate the two carcinomas almost
perfectly, which no reader can. Real tumours form a continuum and benign groups may be reactive, so in a share of patients
the appearance lies between two classes. ``experiments/achievable_auc.py`` computes the resulting upper bound of the AUC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from inkdot.synthetic.cells.draw_cells import Preparation
from inkdot.synthetic.cells.recipes import RECIPES, Recipe, blend

P_BETWEEN_TUMOURS = 0.18
"""Share of patients whose tumour is intermediate between small-cell and large-cell carcinoma."""

P_BLAND = 0.24
"""Share of patients with bland tumour clusters, intermediate between malignant and benign."""

P_REACTIVE = 0.30
"""Share of patients with reactive benign groups, intermediate between benign and malignant."""

_INTERMEDIATE = (0.25, 0.75)
"""Range of the uniform share of the other class in an intermediate appearance."""

MIMICS = ("choroid", "lymphocyte", "arachnoid", "germinal_matrix")
TUMOURS = ("small_nec", "large_nec")
OTHER_TUMOURS = ("adenocarcinoma", "lymphoma")
"""Malignant, without a label of the head `morphology`."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """Appearance of the cells of one class in groups, in one patient.

    Attributes:
        recipe: Parameters of the cells.
        built_as: Probability of each class whose group architecture they follow; sums to 1.
    """

    recipe: Recipe
    built_as: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Patient:
    """Properties shared by all slides of one patient.

    Attributes:
        preparation: Factors on size and haematoxylin of every nucleus, lymphocytes included.
        tumour: ``small_cell``, ``large_cell``, ``mixed``, ``adenocarcinoma``, ``lymphoma`` or empty.
        appearances: Appearance of every class that forms groups.
        degenerate: Share (0 to 1) of degenerate cells.
        mitotic: Share of tumour nuclei in mitosis, 0.005 to 0.03.
        recipes: Parameters of the cell classes in the preparation.
    """

    preparation: Preparation
    tumour: str
    appearances: Mapping[str, Appearance]
    degenerate: float = 0.0
    mitotic: float = 0.0
    recipes: Mapping[str, Recipe] = field(default_factory=lambda: RECIPES)

    def recipe(self, kind: str) -> Recipe:
        """Recipe of a single cell; benign cells, the size reference included, do not vary between patients."""
        return self.appearances[kind].recipe if kind in (*TUMOURS, *OTHER_TUMOURS) else self.recipes[kind]


def draw_patient(tumour: str, rng: np.random.Generator, recipes: Mapping[str, Recipe] = RECIPES) -> Patient:
    """Draw a patient.

    Args:
        tumour: As in :class:`Patient`, or ``any`` of the first three.
        rng: Random generator.
        recipes: Parameters of the cell classes in the preparation.
    """
    preparation = Preparation(float(np.exp(rng.normal(0.0, 0.08))), float(np.exp(rng.normal(0.0, 0.10))))
    if tumour == "any":
        tumour = str(rng.choice(["small_cell", "large_cell", "mixed"], p=[0.48, 0.47, 0.05]))
    appearances = {kind: draw_tumour_appearance(kind, rng, recipes) for kind in TUMOURS}
    appearances |= {kind: draw_mimic_appearance(kind, rng, recipes) for kind in MIMICS}
    appearances |= {
        kind: Appearance(_varied_by_patient(recipes[kind], 0.07, rng), {kind: 1.0}) for kind in OTHER_TUMOURS
    }
    degenerate = float(rng.uniform(0.05, 0.3)) if rng.random() < 0.25 else 0.02
    return Patient(preparation, tumour, appearances, degenerate, float(rng.uniform(0.005, 0.03)), recipes)


def draw_tumour_appearance(
    kind: str, rng: np.random.Generator, recipes: Mapping[str, Recipe] = RECIPES
) -> Appearance:
    """Draw one patient's small-cell or large-cell carcinoma."""
    share = rng.uniform(*_INTERMEDIATE) if rng.random() < P_BETWEEN_TUMOURS else rng.beta(1.0, 9.0)
    other = "large_nec" if kind == "small_nec" else "small_nec"
    appearance = _appearance_between(kind, other, float(share), recipes)
    if rng.random() < P_BLAND:
        appearance = _blended_with(appearance, _draw_mimic(rng), float(rng.uniform(*_INTERMEDIATE)), recipes)
    return replace(appearance, recipe=_varied_by_patient(appearance.recipe, 0.07, rng))


def draw_mimic_appearance(
    kind: str, rng: np.random.Generator, recipes: Mapping[str, Recipe] = RECIPES
) -> Appearance:
    """Draw one patient's benign groups of a class."""
    tumour = TUMOURS[int(rng.integers(2))]
    share = rng.uniform(*_INTERMEDIATE) if rng.random() < P_REACTIVE else rng.beta(1.0, 12.0)
    appearance = _appearance_between(kind, tumour, float(share), recipes)
    return replace(appearance, recipe=_varied_by_patient(appearance.recipe, 0.05, rng))


def _draw_mimic(rng: np.random.Generator) -> str:
    return str(rng.choice(MIMICS[:3], p=[0.55, 0.35, 0.10]))


def _appearance_between(one: str, other: str, share: float, recipes: Mapping[str, Recipe]) -> Appearance:
    return Appearance(blend(recipes[one], recipes[other], share), {one: 1.0 - share, other: share})


def _blended_with(
    appearance: Appearance, kind: str, share: float, recipes: Mapping[str, Recipe]
) -> Appearance:
    built_as = {name: weight * (1.0 - share) for name, weight in appearance.built_as.items()}
    return Appearance(blend(appearance.recipe, recipes[kind], share), built_as | {kind: share})


def _varied_by_patient(recipe: Recipe, spread: float, rng: np.random.Generator) -> Recipe:
    """Vary a recipe by the differences between patients within a class."""
    size = float(np.exp(rng.normal(0.0, spread)))
    shift = float(rng.normal(0.0, 0.03))

    def factor(sd: float) -> float:
        return float(np.exp(rng.normal(0.0, sd)))

    return replace(
        recipe,
        diameter_um=recipe.diameter_um * size,
        smallest_um=recipe.smallest_um * size,
        largest_um=recipe.largest_um * size,
        haematoxylin=recipe.haematoxylin * factor(0.10),
        light_green=recipe.light_green * factor(0.25),
        eosin=recipe.eosin * factor(0.4),
        nc_low=float(np.clip(recipe.nc_low + shift, 0.2, 0.94)),
        nc_high=float(np.clip(recipe.nc_high + shift, 0.3, 0.97)),
        p_nucleolus=float(np.clip(recipe.p_nucleolus + rng.normal(0.0, 0.12), 0.0, 0.95)),
        p_vacuoles=float(np.clip(recipe.p_vacuoles + rng.normal(0.0, 0.12), 0.0, 1.0)),
        fine=recipe.fine * factor(0.5),
        coarse=recipe.coarse * factor(0.5),
        vesicular=recipe.vesicular * factor(0.5),
        smudged=recipe.smudged * factor(0.5),
    )

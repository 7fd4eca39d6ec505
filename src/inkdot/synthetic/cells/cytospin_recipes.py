"""Parameters of the cell classes on cytospins: flat cells, nuclei from 5 µm.

Concentrations are relative to the stains of :mod:`inkdot.synthetic.rendering.csf_stains`, in which 1.0 of haematoxylin
gives the median optical density of real nuclei. Sizes of tumour cells follow ``sizes_by_eye.csv`` of the real slides, by an
observer who is no pathologist.
"""

from dataclasses import replace

from inkdot.synthetic.cells.recipes import RECIPES, Recipe

# Per class: nuclear diameter (mean, sd, limits), aspect (mean, sd), haematoxylin, irregularity, N:C (low, high), light green.
CYTOSPIN_RECIPES: dict[str, Recipe] = {
    **RECIPES,
    "lymphocyte": Recipe(
        8.2, 1.0, 5.0, 11.0, 1.10, 0.07, 0.98, 0.04, 0.76, 0.92, 0.15,
        granular=0.55, smudged=0.30, coarse=0.15, eccentric=0.9, notch=0.10,
    ),
    "monocyte": Recipe(
        11.0, 1.3, 8.0, 15.0, 1.35, 0.15, 0.80, 0.06, 0.50, 0.68, 0.13, 0.01,
        reticular=0.6, granular=0.4, p_nucleolus=0.2, nucleolus_low_um=0.6, nucleolus_high_um=0.9,
        nucleolus_strength=0.25, p_vacuoles=0.6, vacuoles_low=1, vacuoles_high=8, vacuole_high_um=2.0,
        notch=0.45, p_vague_edge=0.4, eccentric=0.6,
    ),
    "macrophage": Recipe(
        11.0, 1.6, 7.5, 15.0, 1.25, 0.15, 0.75, 0.07, 0.30, 0.50, 0.09, 0.01,
        reticular=0.6, granular=0.4, p_nucleolus=0.4, nucleolus_low_um=0.7, nucleolus_high_um=1.1,
        p_vacuoles=1.0, vacuoles_low=15, vacuoles_high=60, vacuole_high_um=3.0, p_vague_edge=0.7,
        eccentric=0.9, notch=0.25, granules_high=20,
    ),
    "small_nec": Recipe(
        9.8, 2.0, 5.0, 16.0, 1.22, 0.16, 1.10, 0.05, 0.80, 0.95, 0.22,
        fine=0.55, granular=0.25, smudged=0.20, p_nucleolus=0.20, nucleolus_low_um=0.6, nucleolus_high_um=0.9,
        nucleolus_strength=0.2, p_naked=0.08, p_spindle=0.10, p_vacuoles=0.15, vacuoles_low=1,
        vacuoles_high=3,
    ),
    "large_nec": Recipe(
        14.5, 2.9, 7.0, 25.0, 1.15, 0.12, 0.95, 0.05, 0.55, 0.85, 0.22, 0.01,
        vesicular=0.15, coarse=0.20, granular=0.65, p_nucleolus=0.70, nucleolus_low_um=1.4, nucleolus_high_um=3.0,
        nucleolus_strength=0.55, p_second_nucleolus=0.4, p_vacuoles=0.6, vacuoles_low=5, vacuoles_high=25,
        vacuole_low_um=0.6, vacuole_high_um=2.0, p_vague_edge=0.2, p_naked=0.03, eccentric=0.6,
    ),
    "adenocarcinoma": Recipe(
        13.0, 2.2, 6.0, 22.0, 1.12, 0.10, 1.00, 0.04, 0.52, 0.80, 0.21, 0.01,
        granular=0.8, coarse=0.2, p_nucleolus=0.5, nucleolus_low_um=1.2, nucleolus_high_um=2.4,
        nucleolus_strength=0.4, p_vacuoles=0.5, vacuoles_low=1, vacuoles_high=6, vacuole_low_um=0.8,
        vacuole_high_um=5.0, eccentric=0.8,
    ),
    "lymphoma": replace(RECIPES["lymphoma"], smallest_um=6.0, haematoxylin=1.0),
}  # fmt: skip

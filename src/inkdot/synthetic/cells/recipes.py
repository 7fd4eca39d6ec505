"""Parameters of the cell classes (SYNTHETIC.md B2), and interpolation between two classes."""

from dataclasses import dataclass, fields

from inkdot.synthetic.cells.scene import CHROMATINS


@dataclass(frozen=True, slots=True)
class Recipe:
    """Distributions of nucleus and cytoplasm of one class. All fields are numbers, so two recipes can be interpolated.

    Diameters in µm; concentrations of dyes relative to the reference stain; ``p_`` and shares from 0 to 1.

    Attributes:
        diameter_um: Mean equivalent diameter of the nucleus.
        diameter_sd_um: Its standard deviation.
        smallest_um: Lower limit of the diameter.
        largest_um: Upper limit of the diameter.
        aspect: Mean of long over short axis.
        aspect_sd: Its standard deviation.
        haematoxylin: Mean concentration in the nucleus.
        irregularity: Relative amplitude of the outline's irregularity.
        nc_low: Smallest ratio of nuclear to cell diameter.
        nc_high: Largest ratio of nuclear to cell diameter.
        light_green: Mean concentration in the cytoplasm.
        eosin: Mean concentration in the cytoplasm.
        fine: Weight of finely stippled chromatin.
        coarse: Weight of coarse chromatin.
        vesicular: Weight of vesicular chromatin.
        smudged: Weight of structureless chromatin.
        reticular: Weight of net-like chromatin.
        granular: Weight of even, granular chromatin.
        p_nucleolus: Share of nuclei with nucleoli.
        nucleolus_low_um: Smallest nucleolus.
        nucleolus_high_um: Largest nucleolus.
        nucleolus_strength: Contrast of nucleoli, relative to the nucleus.
        p_second_nucleolus: Share of nucleolated nuclei with two nucleoli.
        p_naked: Share of naked nuclei.
        p_spindle: Share of spindle-shaped nuclei.
        p_vacuoles: Share of cells with vacuoles.
        vacuoles_low: Fewest vacuoles in those.
        vacuoles_high: Most vacuoles in those.
        vacuole_low_um: Smallest vacuole.
        vacuole_high_um: Largest vacuole.
        p_vague_edge: Share of cells with an ill-defined border.
        notch: Deepest indentation of the nucleus, as a fraction of the radius.
        eccentric: Largest eccentricity of the nucleus, as a fraction (0 to 1) of the possible one.
        granules_high: Most brown (haemosiderin) granules per cell.
    """

    diameter_um: float
    diameter_sd_um: float
    smallest_um: float
    largest_um: float
    aspect: float
    aspect_sd: float
    haematoxylin: float
    irregularity: float
    nc_low: float
    nc_high: float
    light_green: float
    eosin: float = 0.0
    fine: float = 0.0
    coarse: float = 0.0
    vesicular: float = 0.0
    smudged: float = 0.0
    reticular: float = 0.0
    p_nucleolus: float = 0.0
    nucleolus_low_um: float = 1.0
    nucleolus_high_um: float = 1.0
    nucleolus_strength: float = 0.4
    p_second_nucleolus: float = 0.0
    p_naked: float = 0.0
    p_spindle: float = 0.0
    p_vacuoles: float = 0.0
    vacuoles_low: float = 0.0
    vacuoles_high: float = 0.0
    vacuole_low_um: float = 0.8
    vacuole_high_um: float = 1.5
    p_vague_edge: float = 0.0
    notch: float = 0.0
    eccentric: float = 0.3
    granules_high: float = 0.0
    granular: float = 0.0

    @property
    def chromatin_weights(self) -> tuple[float, ...]:
        """Weights in the order of ``CHROMATINS``, summing to 1."""
        weights = [float(getattr(self, name)) for name in CHROMATINS]
        return tuple(weight / sum(weights) for weight in weights)


def blend(one: Recipe, other: Recipe, share: float) -> Recipe:
    """Interpolate two recipes: ``share`` 0 gives ``one``, 1 gives ``other``."""
    mixed = {
        field.name: (1.0 - share) * getattr(one, field.name) + share * getattr(other, field.name)
        for field in fields(Recipe)
    }
    return Recipe(**mixed)


# Per class: nuclear diameter (mean, sd, limits), aspect (mean, sd), haematoxylin, irregularity, N:C (low, high), light green.
RECIPES: dict[str, Recipe] = {
    "lymphocyte": Recipe(
        7.2, 0.6, 5.8, 9.0, 1.08, 0.06, 1.10, 0.03, 0.80, 0.92, 0.15,
        smudged=0.6, coarse=0.4, eccentric=0.8,
    ),
    "reactive_lymphocyte": Recipe(
        9.5, 1.2, 7.0, 13.0, 1.12, 0.08, 0.85, 0.05, 0.65, 0.80, 0.25,
        coarse=0.8, fine=0.2, p_nucleolus=0.5, nucleolus_low_um=0.8, nucleolus_high_um=1.3,
        p_vacuoles=0.3, vacuoles_low=1, vacuoles_high=2, eccentric=0.8,
    ),
    "monocyte": Recipe(
        10.0, 1.1, 8.0, 13.0, 1.35, 0.15, 0.65, 0.05, 0.50, 0.65, 0.12, 0.03,
        reticular=1.0, p_nucleolus=0.2, nucleolus_low_um=0.6, nucleolus_high_um=0.9, nucleolus_strength=0.25,
        p_vacuoles=0.5, vacuoles_low=1, vacuoles_high=5, vacuole_high_um=2.0, notch=0.45, p_vague_edge=0.3,
        eccentric=0.5,
    ),
    "macrophage": Recipe(
        9.5, 1.5, 7.0, 13.0, 1.20, 0.15, 0.60, 0.05, 0.25, 0.45, 0.10, 0.02,
        reticular=1.0, p_nucleolus=0.4, nucleolus_low_um=0.7, nucleolus_high_um=1.1,
        p_vacuoles=1.0, vacuoles_low=10, vacuoles_high=60, vacuole_high_um=4.0, p_vague_edge=0.5, eccentric=0.9,
        notch=0.15, granules_high=20,
    ),
    "choroid": Recipe(
        7.8, 0.55, 6.5, 10.0, 1.08, 0.05, 0.75, 0.02, 0.45, 0.60, 0.25, 0.05,
        fine=0.35, reticular=0.65, p_nucleolus=0.4, nucleolus_low_um=0.6, nucleolus_high_um=0.8,
        nucleolus_strength=0.2, p_vacuoles=0.3, vacuoles_low=1, vacuoles_high=2, eccentric=0.35,
    ),
    "arachnoid": Recipe(
        9.0, 0.9, 7.0, 11.5, 1.35, 0.20, 0.60, 0.03, 0.50, 0.65, 0.12,
        fine=0.5, reticular=0.5, p_vague_edge=0.6,
    ),
    "germinal_matrix": Recipe(
        8.0, 0.8, 6.5, 10.5, 1.12, 0.08, 0.95, 0.04, 0.84, 0.95, 0.12,
        fine=0.8, smudged=0.2, p_naked=0.2,
    ),
    "chondrocyte": Recipe(
        6.5, 1.0, 4.5, 9.0, 1.20, 0.15, 1.30, 0.08, 0.25, 0.35, 0.03, 0.25,
        smudged=1.0,
    ),
    "squame": Recipe(
        6.0, 1.0, 4.0, 8.0, 1.10, 0.10, 0.90, 0.04, 0.11, 0.17, 0.12, 0.01,
        smudged=1.0, eccentric=0.2,
    ),
    "small_nec": Recipe(
        11.5, 1.9, 8.0, 16.0, 1.28, 0.18, 1.05, 0.05, 0.85, 0.97, 0.10,
        fine=0.85, smudged=0.15, p_nucleolus=0.20, nucleolus_low_um=0.6, nucleolus_high_um=0.9,
        nucleolus_strength=0.2, p_naked=0.25, p_spindle=0.25, p_vacuoles=0.1, vacuoles_low=1, vacuoles_high=1,
    ),
    "large_nec": Recipe(
        15.5, 2.9, 10.5, 25.0, 1.18, 0.14, 0.80, 0.05, 0.55, 0.90, 0.23, 0.03,
        vesicular=0.45, coarse=0.35, fine=0.20, p_nucleolus=0.70, nucleolus_low_um=1.4, nucleolus_high_um=3.0,
        nucleolus_strength=1.15, p_second_nucleolus=0.4, p_vacuoles=0.6, vacuoles_low=5, vacuoles_high=25,
        vacuole_low_um=0.6, vacuole_high_um=1.8, p_vague_edge=0.3, p_naked=0.05, eccentric=0.6,
    ),
    "adenocarcinoma": Recipe(
        15.0, 3.0, 10.0, 24.0, 1.25, 0.15, 0.80, 0.06, 0.40, 0.70, 0.22, 0.04,
        coarse=0.8, vesicular=0.2, p_nucleolus=0.9, nucleolus_low_um=2.0, nucleolus_high_um=3.5,
        nucleolus_strength=1.2, p_vacuoles=0.7, vacuoles_low=1, vacuoles_high=3, vacuole_low_um=4.0,
        vacuole_high_um=9.0, eccentric=0.95,
    ),
    "lymphoma": Recipe(
        11.0, 1.5, 8.0, 15.0, 1.15, 0.10, 0.90, 0.09, 0.80, 0.92, 0.24,
        fine=0.5, coarse=0.5, p_nucleolus=0.5, nucleolus_low_um=0.8, nucleolus_high_um=1.5,
        p_second_nucleolus=0.5, p_vacuoles=0.3, vacuoles_low=1, vacuoles_high=3, notch=0.2, eccentric=0.7,
    ),
}  # fmt: skip

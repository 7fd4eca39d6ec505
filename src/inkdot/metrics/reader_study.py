"""Power of reader studies (multiple readers, multiple cases) after Obuchowski and Rockette, as updated by Hillis.

Formulas: Hillis, Obuchowski and Berbaum 2011, Acad Radiol 18:129 (every reader reads every case in both ways), and Hillis 2014,
Stat Med 33:330 (readers nested in the arms), with the denominator degrees of freedom of Hillis 2007, Stat Med 26:596.
"""

# pyright: reportUnknownMemberType=false

import math
from dataclasses import dataclass
from typing import Literal

from scipy.stats import f, ncf

Design = Literal["crossed", "two-arm"]
"""crossed: every reader reads every case in both ways, with a washout between. two-arm: each reader reads in one way only."""

_MOST_CASES = 100_000


@dataclass(frozen=True, slots=True)
class VarianceComponents:
    """Obuchowski-Rockette variances and covariances of the readers' AUC, from a pilot or a published study.

    Attributes:
        var_r: Variance between readers.
        var_tr: Variance of the reader-by-way interaction.
        cov1: Covariance of one reader's AUC in the two ways, from the cases.
        cov2: Of two readers in the same way.
        cov3: Of two readers in different ways.
        var: Variance of one reader's AUC from the cases (error variance).
        cases: Cases of that study; ``cov1`` to ``var`` shrink with their number.
    """

    var_r: float
    var_tr: float
    cov1: float
    cov2: float
    cov3: float
    var: float
    cases: int


VAN_DYKE = VarianceComponents(
    var_r=0.0015349993,
    var_tr=0.0002004025,
    cov1=0.0003466137,
    cov2=0.0003440748,
    cov3=0.0002390284,
    var=0.0008022883,
    cases=114,
)
"""Five radiologists, 114 patients (45 with dissection), two kinds of magnetic resonance images; empirical AUC.

Van Dyke et al. 1993, RSNA; the usual example of the literature, in the R packages MRMCaov and RJafroc (dataset02). Another
task than cytology: for a first idea only.
"""


def reader_study_power(
    difference: float,
    readers: int,
    cases: int,
    components: VarianceComponents,
    design: Design = "crossed",
    alpha: float = 0.05,
) -> float:
    """Power to find a difference in the readers' mean AUC, for readers and cases like those of the study.

    Args:
        difference: Difference in mean AUC between the two ways of reading.
        readers: In all ways together for "crossed", per arm for "two-arm"; 2 or more.
        cases: Planned cases, with the same share of positive ones as in the study of ``components``.
        components: Variances.
        design: Who reads what.
        alpha: Level of the two-sided test.

    Raises:
        ValueError: An argument is outside of its range.
    """
    if readers < 2:
        raise ValueError(f"expected 2 readers or more, found {readers}")
    if cases < 1 or not 0.0 < abs(difference) < 1.0:
        raise ValueError(f"expected cases and a difference above 0, found {cases} and {difference:g}")
    scale = components.cases / cases
    shared = max(components.cov2 - components.cov3, 0.0)
    if design == "crossed":
        # Mean square of the interaction: what is left of a reader's difference without the cases all readers share.
        own = max(components.var_tr, 0.0) + scale * (components.var - components.cov1 - shared)
    else:
        # Mean square of the readers within an arm.
        own = (
            max(components.var_r, 0.0)
            + max(components.var_tr, 0.0)
            + scale * (components.var - components.cov2)
        )
    whole = own + readers * scale * shared
    if own <= 0.0:
        raise ValueError("expected variances that leave some between readers, found none; check cov1 and var")
    freedom = (whole / own) ** 2 * ((readers - 1) if design == "crossed" else 2 * (readers - 1))
    noncentrality = readers * difference**2 / 2.0 / whole
    return float(ncf.sf(f.isf(alpha, 1, freedom), 1, freedom, noncentrality))


def cases_for_reader_study(
    difference: float,
    readers: int,
    components: VarianceComponents,
    design: Design = "crossed",
    power: float = 0.8,
    alpha: float = 0.05,
) -> int | None:
    """Smallest number of cases for so much power; None where no number of cases makes up for too few readers.

    Args:
        difference: As in :func:`reader_study_power`.
        readers: As there.
        components: As there.
        design: As there.
        power: Between 0 and 1.
        alpha: Level of the two-sided test.
    """

    def reached(cases: int) -> bool:
        found = reader_study_power(difference, readers, cases, components, design, alpha)
        return not math.isnan(found) and found >= power

    if not reached(_MOST_CASES):
        return None
    low, high = 1, _MOST_CASES
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high

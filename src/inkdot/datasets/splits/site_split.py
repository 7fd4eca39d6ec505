"""Cross-validation folds of whole sites, balanced by greedy assignment.

A network can recognise where a slide was made. Where sites differ in their share of positive patients, that passes for a
diagnosis (Howard et al. 2021, doi:10.1038/s41467-021-24698-1). Splitting by site shows the performance at a new site.
Howard et al. balance the folds by quadratic programming. Assigning the largest site first, each to the fold where it
fits best, needs no solver and comes close where no site outweighs the rest; scikit-learn's ``StratifiedGroupKFold``
works alike, with less even folds (docs/explanation/decisions/0125).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inkdot.errors import ManifestError, UserError


class SlideOfSite(Protocol):
    """What a split by site depends on."""

    @property
    def slide_id(self) -> str:
        """The slide."""
        ...

    @property
    def patient_id(self) -> str:
        """Its patient."""
        ...

    @property
    def site(self) -> str:
        """Where it was made; empty where unknown."""
        ...


def site_units(slides: Sequence[SlideOfSite]) -> dict[str, str]:
    """The unit of each slide that is never divided, by slide_id: its site, with all sites that share a patient with it.

    Raises:
        ManifestError: A slide has no site.
    """
    without = sorted(slide.slide_id for slide in slides if not slide.site)
    if without:
        raise ManifestError(
            f"training.group_by: site: expected a site for every slide, found none for {len(without)} such as "
            f"{without[0]!r}; fill the column site, or set group_by: patient"
        )
    unit = {slide.site: slide.site for slide in slides}
    sites_of: dict[str, set[str]] = defaultdict(set)
    for slide in slides:
        sites_of[slide.patient_id].add(slide.site)
    for shared in sites_of.values():
        joined = {unit[site] for site in shared}
        first = min(joined)
        unit = {site: first if own in joined else own for site, own in unit.items()}
    return {slide.slide_id: unit[slide.site] for slide in slides}


def site_folds(
    units: Mapping[str, str], strata: Mapping[str, str], folds: int, tie_breaks: Mapping[str, str]
) -> dict[str, int]:
    """Fold of each unit, so that every fold gets as even a share of each stratum as whole units allow.

    Args:
        units: Unit of each patient.
        strata: Stratum of each patient (positive, negative, unknown).
        folds: Number of folds.
        tie_breaks: By unit, a string that orders units of equal size.

    Raises:
        UserError: Fewer units than folds.
    """
    names = sorted(set(units.values()))
    if len(names) < folds:
        raise UserError(
            f"expected at least {folds} sites to keep whole sites together, found {len(names)}; lower --folds, or set "
            "training.group_by: patient"
        )
    kinds = sorted(set(strata.values()))
    counts: dict[str, npt.NDArray[np.float64]] = {name: np.zeros(len(kinds)) for name in names}
    for patient, unit in units.items():
        counts[unit][kinds.index(strata[patient])] += 1
    totals = np.sum(list(counts.values()), axis=0)
    shares = {name: own / totals for name, own in counts.items()}
    filled: npt.NDArray[np.float64] = np.zeros((folds, len(kinds)))
    fold_of: dict[str, int] = {}
    for name in sorted(names, key=lambda name: (-float(shares[name].sum()), tie_breaks[name])):
        # The sum of squares is least where shares are even; its growth depends on the chosen fold alone.
        growth = (shares[name] * (2 * filled + shares[name])).sum(axis=1)
        # Among equals the emptiest, so that no fold stays without a site.
        fold = int(np.lexsort((filled.sum(axis=1).round(12), growth.round(12)))[0])
        fold_of[name] = fold
        filled[fold] += shares[name]
    return fold_of

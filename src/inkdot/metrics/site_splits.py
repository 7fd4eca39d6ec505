"""Which sites train and which validate, where whole sites are kept together.

A network can tell where a slide was made, and where sites differ in how many of their patients are ill, that passes for a
diagnosis (Howard et al. 2021, doi:10.1038/s41467-021-24698-1). Keeping whole sites on one side shows what is left at a
region never seen. There the folds are balanced by quadratic programming; dealing the largest site first to where it fits
best needs no solver, and comes close where no site outweighs the rest.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inkdot.errors import ManifestError, UserError


class OfSite(Protocol):
    """What must be known of a slide."""

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


def site_units(slides: Sequence[OfSite]) -> dict[str, str]:
    """The unit that each slide stays with, by slide_id: its site, joined with others that share a patient with it.

    Raises:
        ManifestError: A slide has no site.
    """
    nameless = sorted(slide.slide_id for slide in slides if not slide.site)
    if nameless:
        raise ManifestError(
            f"training.group_by: site: expected a site for every slide, found none for {len(nameless)} such as "
            f"{nameless[0]!r}; fill the column site, or set group_by: patient"
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
    units: Mapping[str, str], groups: Mapping[str, str], folds: int, seed_of: Mapping[str, str]
) -> dict[str, int]:
    """Fold of each unit, so that every fold gets as even a share of each group as whole units allow.

    Args:
        units: Unit of each patient.
        groups: Group of each patient (positive, negative, unknown).
        folds: How many.
        seed_of: By unit, a word that decides between equals.

    Raises:
        UserError: Fewer units than folds.
    """
    names = sorted(set(units.values()))
    if len(names) < folds:
        raise UserError(
            f"expected at least {folds} sites to keep whole sites together, found {len(names)}; lower --folds, or set "
            "training.group_by: patient"
        )
    kinds = sorted(set(groups.values()))
    counts: dict[str, npt.NDArray[np.float64]] = {name: np.zeros(len(kinds)) for name in names}
    for patient, unit in units.items():
        counts[unit][kinds.index(groups[patient])] += 1
    totals = np.sum(list(counts.values()), axis=0)
    shares = {name: own / totals for name, own in counts.items()}
    filled: npt.NDArray[np.float64] = np.zeros((folds, len(kinds)))
    fold_of: dict[str, int] = {}
    for name in sorted(names, key=lambda name: (-float(shares[name].sum()), seed_of[name])):
        # The sum of squares is least where shares are even; what it grows by depends on the fold alone.
        growth = (shares[name] * (2 * filled + shares[name])).sum(axis=1)
        # Among equals the emptiest, so that none is left without a site.
        fold = int(np.lexsort((filled.sum(axis=1).round(12), growth.round(12)))[0])
        fold_of[name] = fold
        filled[fold] += shares[name]
    return fold_of

"""Facts about one cluster beside its scores, for its card."""

from collections.abc import Mapping
from dataclasses import dataclass

from inkdot.storage.schemas import MEASURES
from inkdot.storage.tables.nuclei import NucleusOutlines


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """One cluster.

    Attributes:
        cluster_id: Row in the cluster table.
        nuclei: Estimated number of nuclei, counted on a coarse image.
        in_focus: It has an edge sharp enough to be assessed.
        measured_nuclei: Nuclei outlined at full scale, 0 where none could be; None where they were not measured.
        measures: Measurements by the names of ``schemas.MEASURES``; those that could not be measured are left out.
        others: Further clusters and cells that lie fully in the same image, without a card of their own.
        flagged_others: Closed outlines in level-0 pixels of those of them that are flagged and shown on this card.
        outlines: Its nuclei as outlined; None where the results hold no outlines.
        group_nuclei: Nuclei of the whole group where it is a field of a larger one; else as ``nuclei``.
    """

    cluster_id: int
    nuclei: int
    in_focus: bool
    measured_nuclei: int | None
    measures: Mapping[str, float]
    others: int
    group_nuclei: int
    flagged_others: tuple[tuple[tuple[float, float], ...], ...] = ()
    outlines: NucleusOutlines | None = None

    @property
    def reservations(self) -> list[str]:
        """Reasons why its score or measurements are less reliable, except those that hold for the whole slide."""
        found: list[str] = []
        if not self.in_focus:
            found.append("out of focus")
        if self.measured_nuclei is None:
            found.append("nuclei not measured: not among the highest scores")
        elif self.measured_nuclei == 0:
            found.append("no nucleus could be outlined")
        elif 2 * self.nuclei >= 3 * self.measured_nuclei and self.nuclei > self.measured_nuclei + 1:
            found.append(f"only {self.measured_nuclei} of about {self.nuclei} nuclei could be outlined")
        return found


def measures_of(row: Mapping[str, object]) -> dict[str, float]:
    """The measurements present in a row of the cluster table."""
    return {name: value for name in MEASURES if isinstance(value := row[name], float)}

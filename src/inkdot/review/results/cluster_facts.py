"""What is known of one cluster beside its scores: what a reader wants to see on its card."""

from collections.abc import Mapping
from dataclasses import dataclass

from inkdot.storage.schemas import MEASURES


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """One cluster.

    Attributes:
        cluster_id: Row in the cluster table.
        nuclei: Estimated number of nuclei, counted on a coarse image.
        in_focus: It has an edge sharp enough to be judged.
        measured_nuclei: Nuclei outlined at full scale, 0 where none could be; None where nobody looked.
        measures: Measurements by the names of ``schemas.MEASURES``; what could not be measured is left out.
        others: Further clusters and cells that lie whole in the same image, without a card of their own.
    """

    cluster_id: int
    nuclei: int
    in_focus: bool
    measured_nuclei: int | None
    measures: Mapping[str, float]
    others: int

    @property
    def reservations(self) -> list[str]:
        """Why its score or its measurements deserve less trust, in words; what holds for the whole slide is not repeated."""
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
    """The measurements in a row of the cluster table that are there."""
    return {name: value for name in MEASURES if isinstance(value := row[name], float)}

"""Checks of what ``inkdot synth`` is asked to make, and where."""

from inkdot.errors import UserError
from inkdot.storage.output_layouts import CohortLayout
from inkdot.synthetic.cohort.cohort_plan import SlidePlan


def check_numbers(slides: int, seed: int, spot_mm: float | None, mpp: float | None, planes: int) -> None:
    """Refuse numbers of a cohort that are out of range; see :func:`inkdot.stages.synth.run`.

    Raises:
        UserError: One is; the message names the option.
    """
    if planes < 1 or planes % 2 == 0:
        raise UserError(
            f"--planes: expected an odd number, as many above the middle plane as below, found {planes}"
        )
    if slides < 1:
        raise UserError(f"--slides: expected at least 1, found {slides}")
    if seed < 0:
        raise UserError(f"--seed: expected 0 or more, found {seed}")
    if spot_mm is not None and not 0.2 <= spot_mm <= 25.0:
        raise UserError(f"--spot-mm: expected 0.2 to 25, found {spot_mm:g}")
    if mpp is not None and not 0.1 <= mpp <= 2.0:
        raise UserError(f"--mpp: expected 0.1 to 2.0 micrometres per pixel, found {mpp:g}")


def refuse_other_cohort(layout: CohortLayout, plans: list[SlidePlan]) -> int:
    """The number of further slides in the folder, of a run with more slides of this preset and seed.

    Args:
        layout: The folder.
        plans: The slides to be made, at least one.

    Raises:
        UserError: There are others, which a folder given to `inkdot predict` would mix with these.
    """
    planned = {layout.slide(plan.slide_id).name for plan in plans}
    own = plans[0].slide_id.rpartition("_")[0] + "_"  # the name without the number of the slide
    found = sorted(path.name for path in layout.slide("any").parent.glob("*.tif"))
    others = [name for name in found if not name.startswith(own)]
    if others:
        raise UserError(
            f"--out: expected a folder without slides of other cohorts at {layout.root}, found {len(others)} of another, such as "
            f"{others[0]}; choose another folder, or delete that one"
        )
    return len(set(found) - planned)

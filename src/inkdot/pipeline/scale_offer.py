"""An estimate of the scale for a slide that is refused because of its scale. It is shown and never used."""

from contextlib import closing
from dataclasses import replace

from inkdot.errors import ResolutionError, SlideError
from inkdot.execution.watchdog import with_heartbeat
from inkdot.records import Mpp, Preparation, SlideEntry
from inkdot.slides import open_slide
from inkdot.tiling.scale_check import mean_mpp, measure_red_cells


def with_scale_offer(error: SlideError, entry: SlideEntry, preparation: Preparation) -> SlideError:
    """The same error, with the scale that the slide's red cells suggest, or why they suggest none.

    A slide that is too coarse at its stated scale is asked too: where its red cells are impossibly large there, the scale is
    wrong, and not the scan. Otherwise that error stays as it is.

    Args:
        error: Says that the µm/px are missing or implausible, or too coarse.
        entry: The slide.
        preparation: Where the entry states none: that of the config.
    """
    too_coarse = isinstance(error, ResolutionError)
    try:
        # A scale is needed to open the file; the measurement does not use it.
        opened = entry if too_coarse else replace(entry, mpp=Mpp.square(1.0))
        with closing(with_heartbeat(open_slide(opened))) as slide:
            found = measure_red_cells(slide, entry.preparation or preparation)
            stated_mpp = mean_mpp(slide)
    except SlideError:
        return error
    if not too_coarse:
        return type(error)(f"{error}; {found.offer()}")
    warning = found.warning(stated_mpp)
    return type(error)(f"{warning}, or the slide is too coarse: {error}") if warning else error

"""An estimate of the scale for a slide that is refused because it states none. It is shown and never used."""

from contextlib import closing
from dataclasses import replace

from inkdot.errors import SlideError
from inkdot.execution.watchdog import with_heartbeat
from inkdot.records import Mpp, Preparation, SlideEntry
from inkdot.slides import open_slide
from inkdot.tiling.scale_check import measure_red_cells


def with_scale_offer(error: SlideError, entry: SlideEntry, preparation: Preparation) -> SlideError:
    """The same error, with the scale that the slide's red cells suggest, or why they suggest none.

    Args:
        error: Says that the µm/px are missing or implausible.
        entry: The slide.
        preparation: Where the entry states none: that of the config.
    """
    try:
        # A scale is needed to open the file; the measurement does not use it.
        with closing(with_heartbeat(open_slide(replace(entry, mpp=Mpp.square(1.0))))) as slide:
            found = measure_red_cells(slide, entry.preparation or preparation)
    except SlideError:
        return error
    return type(error)(f"{error}; {found.offer()}")

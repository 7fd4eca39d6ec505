"""What the command line says of all slides at once, where the manifest leaves a field blank or is wrong."""

import math
from collections.abc import Sequence
from dataclasses import replace

from inkdot.errors import ManifestError
from inkdot.manifest.columns import PREPARATIONS
from inkdot.records import Mpp, Preparation, SlideEntry


def with_overrides(
    entries: Sequence[SlideEntry],
    *,
    mpp: float | None = None,
    stain: str | None = None,
    preparation: str | None = None,
) -> list[SlideEntry]:
    """The entries with the given fields replaced on every one; None leaves a field as it is.

    Raises:
        ManifestError: The preparation is not a known one, or the mpp is not above 0.
    """
    if mpp is not None and not (math.isfinite(mpp) and mpp > 0):
        raise ManifestError(f"--mpp: expected micrometres per pixel such as 0.25, found {mpp:g}")
    changed = list(entries)
    if mpp is not None:
        changed = [replace(entry, mpp=Mpp.square(mpp)) for entry in changed]
    if stain is not None:
        changed = [replace(entry, stain=stain) for entry in changed]
    if preparation is not None:
        known = known_preparation(preparation)
        changed = [replace(entry, preparation=known) for entry in changed]
    return changed


def known_preparation(text: str) -> Preparation:
    """A word as a preparation.

    Raises:
        ManifestError: It is none.
    """
    for known in PREPARATIONS:
        if text == known:
            return known
    raise ManifestError(f"--preparation: expected {', '.join(PREPARATIONS)}, found {text!r}")

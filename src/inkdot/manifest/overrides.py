"""Values from the command line that override those of the slide table for all slides."""

from collections.abc import Sequence
from dataclasses import replace

from inkdot.errors import ManifestError
from inkdot.manifest.columns import PREPARATIONS
from inkdot.manifest.stated_scale import check_stated_mpp
from inkdot.records import Mpp, Preparation, SlideEntry


def with_overrides(
    entries: Sequence[SlideEntry],
    *,
    mpp: float | None = None,
    stain: str | None = None,
    preparation: str | None = None,
) -> list[SlideEntry]:
    """Replace fields of all entries; None keeps a field.

    Raises:
        ManifestError: The preparation is unknown, or the mpp cannot be one.
    """
    if mpp is not None:
        check_stated_mpp("--mpp", mpp)
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
    """Check that a text is a preparation.

    Raises:
        ManifestError: It is not one.
    """
    for known in PREPARATIONS:
        if text == known:
            return known
    raise ManifestError(f"--preparation: expected {', '.join(PREPARATIONS)}, found {text!r}")

"""What can go wrong, sorted by who has to act.

Every message is one line: what was expected, what was found, and what to change.
"""

from collections.abc import Sequence


class InkdotError(Exception):
    """Base of every error Inkdot raises on purpose."""


class UserError(InkdotError):
    """The input or the command is wrong: nothing was done, the program ends with exit code 2."""


class ManifestError(UserError):
    """A row or column of a table that a person wrote is wrong."""


class ConfigError(UserError):
    """A key of a configuration file is wrong."""


class StorageError(UserError):
    """A file between stages is missing, of an unknown version, or does not belong to its neighbours."""


class LeakageError(UserError):
    """Training and validation data share a patient, or synthetic data is mixed with real data."""


class SyntheticModelError(UserError):
    """A model trained on synthetic specimens was asked to judge a real slide."""


class SlideError(InkdotError):
    """One slide cannot be used: the batch goes on and ends with exit code 1."""


class UnreadableSlideError(SlideError):
    """The file is missing, truncated or of a kind that no reader opens."""


class AnnotationError(SlideError):
    """A slide's annotation file cannot be read, or says something that the config does not explain."""


class MissingMppError(SlideError):
    """The slide states no micrometres per pixel and the manifest gives none."""


class ImplausibleMppError(SlideError):
    """The slide's micrometres per pixel are outside the plausible range, or differ between x and y."""


class ResolutionError(SlideError):
    """A finer scale was asked for than the slide holds."""


class NoForegroundError(SlideError):
    """Nothing on the slide could be told from empty glass."""


def renamed_message(renames: Sequence[tuple[str, str]]) -> str:
    """Name what replaced old names, in one line: the same wording for keys, columns and options.

    Args:
        renames: Old and new name of each, at least one pair; the new name is empty where the old one was removed.
    """
    if len(renames) == 1:
        old, new = renames[0]
        return f"{old} was renamed to {new}; use the new name" if new else f"{old} was removed; delete it"
    listed = ", ".join(f"{old} -> {new or '(removed)'}" for old, new in renames)
    return f"{len(renames)} names have changed: {listed}; use the new names"

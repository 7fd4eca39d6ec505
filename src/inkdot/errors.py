"""Exceptions, grouped by who has to act.

Every message is one line: what was expected, what was found, and what to change.
"""

from collections.abc import Sequence

_LONGEST_MESSAGE = 2000
_KEPT_END = 400


class InkdotError(Exception):
    """Base of all exceptions of Inkdot; its text is one line of at most 2,000 characters, whatever it quotes."""

    def __str__(self) -> str:
        text = " ".join(super().__str__().splitlines())
        if len(text) <= _LONGEST_MESSAGE:
            return text
        return f"{text[: _LONGEST_MESSAGE - _KEPT_END - 3]} … {text[-_KEPT_END:]}"


class UserError(InkdotError):
    """The input or the command is wrong: the command stops with exit code 2."""


class ManifestError(UserError):
    """A row or column of a table of the user is wrong."""


class ConfigError(UserError):
    """A key of a configuration file is wrong."""


class StorageError(UserError):
    """A file between stages is missing, of an unknown version, or does not belong to the files beside it."""


class LeakageError(UserError):
    """Training and validation data share a patient, or synthetic and real data are mixed."""


class SyntheticModelError(UserError):
    """A model trained on synthetic specimens was applied to a real slide."""


class SlideError(InkdotError):
    """One slide cannot be used: the other slides are processed, and the command ends with exit code 1."""


class UnreadableSlideError(SlideError):
    """The file is missing, damaged or of a format that no reader opens."""


class AnnotationError(SlideError):
    """The annotation file of a slide cannot be read, or has a class that the config does not map."""


class MissingMppError(SlideError):
    """Neither the slide file nor the slide table states micrometres per pixel."""


class ImplausibleMppError(SlideError):
    """The micrometres per pixel of the slide are outside the plausible range, or differ between x and y."""


class ResolutionError(SlideError):
    """The slide is too coarse for the requested scale."""


class NotBrightFieldError(SlideError):
    """Nothing on the slide is as bright as empty glass."""


class NonFiniteError(SlideError):
    """A network gave NaN or infinite numbers for tiles of the slide."""


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

"""Who may read what commands write: results hold names and findings of patients."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from inkdot.errors import UserError

UMASK_VARIABLE: Final = "INKDOT_UMASK"
"""Environment variable with the umask to use instead, in octal: 027 lets the group read, 007 lets it write too."""

_PRIVATE: Final = 0o077
_LARGEST: Final = 0o777


@contextmanager
def private_files() -> Generator[None]:
    """Within the block, new files of this process and those it starts are the user's own: files 0600, folders 0700.

    INKDOT_UMASK sets another umask. Default ACLs of a folder take precedence over any umask, as the system has it.

    Raises:
        UserError: INKDOT_UMASK is no umask, or would hide files from the user.
    """
    earlier = os.umask(_PRIVATE)
    try:
        os.umask(_umask(earlier))
        yield
    finally:
        os.umask(earlier)


def _umask(earlier: int) -> int:
    text = os.environ.get(UMASK_VARIABLE, "").strip()
    if not text:
        return earlier | _PRIVATE
    try:
        umask = int(text, 8)
    except ValueError:
        umask = -1
    if not 0 <= umask <= _LARGEST or umask & 0o700:
        raise UserError(
            f"{UMASK_VARIABLE}: expected an octal umask that leaves you your own files, such as 027, found {text!r}; correct it"
        )
    return umask

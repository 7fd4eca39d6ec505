"""The commands' messages for callers from Python: keyword arguments for options, and no advice about progress bars."""

import re
import warnings
from collections.abc import Generator
from contextlib import contextmanager

from inkdot.errors import InkdotError, UserError

_OPTION = re.compile(
    r"--(allow-[a-z-]+|mpp|stain|preparation|preset|slides|seed|spot-mm|out|images|workers)\b(?: where a command has it)?"
)


@contextmanager
def python_words() -> Generator[None, None, None]:
    """Raise the block's Inkdot errors with ``--allow-synthetic-model`` written as ``allow_synthetic_model=True``.

    Progress bars need ipywidgets in a notebook. Without it they are left out, and so are the warnings about it.

    Raises:
        InkdotError: The same type of error that the block raised.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", 'install "ipywidgets"')
            warnings.filterwarnings("ignore", "IProgress not found")  # the same of tqdm
            yield
    except InkdotError as error:
        raise type(error)(_OPTION.sub(_keyword, str(error))) from None


def _keyword(option: re.Match[str]) -> str:
    name = option[1].replace("-", "_")
    return f"{name}=True" if name.startswith("allow_") else f"{name}="


def at_least_one(name: str, value: int) -> int:
    """Check an argument that is a number of things.

    Raises:
        UserError: It is below 1.
    """
    if value < 1:
        raise UserError(f"{name}: expected at least 1, found {value}")
    return value

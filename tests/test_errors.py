"""Messages are one line of a bounded length, whatever they quote."""

import pytest

from inkdot.errors import InkdotError


@pytest.mark.parametrize("mark", ["\n", "\r\n", "\x0b", "\x85", "\u2028"])
def test_a_message_is_one_line(mark: str) -> None:
    text = str(InkdotError(f"table.csv: found a column {'x' + mark + 'y'}"))
    assert text == "table.csv: found a column x y"
    assert len(str(InkdotError((mark + "x") * 9000))) <= 2000

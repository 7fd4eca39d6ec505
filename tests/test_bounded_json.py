"""JSON of any content is read, or refused by a ValueError in one line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkdot.bounded_json import DEEPEST, LARGEST_INT, parse_json

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-LARGEST_INT, LARGEST_INT)
    | st.floats(allow_nan=False)
    | st.text()
)


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))
def test_ordinary_values_are_read_as_by_the_standard_library(value: object) -> None:
    text = json.dumps(value)
    assert parse_json(text) == json.loads(text) == value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[" * 100_000, "nested more than 100 levels"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "nested more than 100 levels"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "nested more than 100 levels"),
        ("9" * 5000, "an integer of 5000 digits"),
        (str(LARGEST_INT + 1), "an integer of 19 digits"),
        (b'"\xff"', "can't decode byte"),
        ("[1,", "Expecting value"),
    ],
)
def test_the_rest_is_a_value_error_of_one_line(text: str | bytes, found: str) -> None:
    with pytest.raises(ValueError, match=found) as error:
        parse_json(text)
    assert "\n" not in str(error.value)


def test_the_limits_themselves_are_read() -> None:
    assert parse_json(str(-LARGEST_INT)) == -LARGEST_INT
    deep = "[" * DEEPEST + "]" * DEEPEST
    assert parse_json(deep) == json.loads(deep)

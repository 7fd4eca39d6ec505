"""Room for what a stage is about to write."""

from pathlib import Path

import pytest

from inkdot.errors import UserError
from inkdot.storage.disk import check_free_disk, free_bytes, readable_bytes


def test_too_little_room_is_refused_before_the_work(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    assert (free_bytes(folder) or 0) > 0
    check_free_disk(folder, 0, "tables")
    with pytest.raises(
        UserError, match=r"yet: expected .* TB of free disk for tiles, found .*; free disk space .* --out"
    ):
        check_free_disk(folder, 10**18, "tiles")
    assert not folder.parent.exists()


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (29_000, "29 kB"), (2.5e9, "2.5 GB"), (3e15, "3000.0 TB")],
)
def test_bytes_are_formatted_in_decimal_units(count: float, words: str) -> None:
    assert readable_bytes(count) == words

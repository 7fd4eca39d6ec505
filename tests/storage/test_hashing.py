"""Hashes that bind results to what they were made from."""

import hashlib
from pathlib import Path

import pytest

from inkdot.storage.hashing import file_sha256, json_sha256, slide_fingerprint

MIB = 1 << 20


def test_json_hash_is_of_the_value_not_of_its_spelling() -> None:
    assert json_sha256({"a": 1, "b": [1.5, "µ"]}) == json_sha256({"b": [1.5, "µ"], "a": 1})
    assert json_sha256({"a": 1}) != json_sha256({"a": 1.5})
    # Fixed for good: a change here would orphan every result made so far.
    assert (
        json_sha256({"b": None, "a": [True, 0.25, "µ"]})
        == hashlib.sha256('{"a":[true,0.25,"µ"],"b":null}'.encode()).hexdigest()
    )


def test_json_hash_refuses_what_json_cannot_say() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_sha256({"a": float("nan")})


def test_file_hash_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_fingerprint_of_a_small_slide_sees_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes(b"abc" * 1000)
    before = slide_fingerprint(path)
    path.write_bytes(b"abc" * 999 + b"abd")
    assert slide_fingerprint(path) != before


@pytest.mark.parametrize("at", [0, 100, 20 * MIB - 1])
def test_fingerprint_of_a_big_slide_sees_header_and_directory(tmp_path: Path, at: int) -> None:
    path = tmp_path / "a.svs"
    with path.open("wb") as file:
        file.truncate(20 * MIB)
    before = slide_fingerprint(path)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"x")
    assert slide_fingerprint(path) != before
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\0")
    assert slide_fingerprint(path) == before
    with path.open("r+b") as file:
        file.truncate(20 * MIB + 1)
    assert slide_fingerprint(path) != before


def test_fingerprint_of_mirax_sees_the_folder_that_holds_the_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.mrxs"
    path.write_bytes(b"preview")
    alone = slide_fingerprint(path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"12")
    with_folder = slide_fingerprint(path)
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"123")
    assert len({alone, with_folder, slide_fingerprint(path)}) == 3

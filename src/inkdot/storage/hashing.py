"""SHA-256 hashes that bind a result to its inputs."""

import hashlib
import json
from pathlib import Path

_SAMPLE_BYTES = 1 << 20
_SAMPLES = 16

_TRAINING_FILE_DIGITS = 16
"""64 bits: among a million files the chance of two alike is below 1 in 10 million."""


def training_file(source_sha256: str) -> str:
    """The digits of a slide's or image's hash by which a model remembers its training files."""
    return source_sha256[:_TRAINING_FILE_DIGITS]


def json_sha256(value: object) -> str:
    """Hash of a JSON value, independent of key order and white space (hex digits)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def file_sha256(path: Path) -> str:
    """Hash of a whole file (hex digits)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def slide_fingerprint(path: Path) -> str:
    """Hash of the size of a slide file and of 16 evenly spread samples of 1 MiB; of all of it up to 16 MiB.

    Slides reach tens of gigabytes; reading all of one would take longer than tiling it. A change of a slide nearly always
    changes its size, its header or its directory at the end, all of which are sampled. A MIRAX slide keeps its pixels in a
    folder beside the file, whose file names and sizes are hashed as well.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    beside = path.with_suffix("")
    if path.suffix.lower() == ".mrxs" and beside.is_dir():
        listed = sorted((file.name, file.stat().st_size) for file in beside.iterdir() if file.is_file())
        digest.update(json.dumps(listed).encode())
    with path.open("rb") as file:
        if size <= _SAMPLE_BYTES * _SAMPLES:
            digest.update(file.read())
        else:
            for index in range(_SAMPLES):
                file.seek((size - _SAMPLE_BYTES) * index // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()

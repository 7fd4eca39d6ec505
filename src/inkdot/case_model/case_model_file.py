"""Writes and reads ``case_model.json``: plain JSON under a hash, no code, no pickle."""

import json
from pathlib import Path
from typing import cast

from inkdot.bounded_json import parse_json
from inkdot.case_model.records import CASE_MODEL_VERSION, CaseModelFile
from inkdot.errors import StorageError
from inkdot.storage.atomic import write_text
from inkdot.storage.hashing import json_sha256
from inkdot.storage.record_json import first_error

_HASH = "sha256"


def write_case_model(path: Path, model: CaseModelFile) -> str:
    """Write the file atomically and return the hash of its content (hex digits), which it holds too."""
    content = model.model_dump(mode="json")
    digest = json_sha256(content)
    text = json.dumps(
        {**content, _HASH: digest}, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False
    )
    write_text(path, text + "\n")
    return digest


def read_case_model(path: Path) -> tuple[CaseModelFile, str]:
    """The model and the hash of its content.

    Raises:
        StorageError: The file is missing, damaged, changed by hand, or of another version.
    """
    try:
        content: object = parse_json(path.read_bytes())
    except OSError as error:
        raise StorageError(
            f"{path}: expected a case model of `inkdot case-model train`, found {error.strerror}; name its case_model.json"
        ) from None
    except ValueError as error:
        raise StorageError(
            f"{path}: expected a case model in JSON, found: {first_error(error)}; train again"
        ) from None
    if not isinstance(content, dict):
        raise StorageError(f"{path}: expected a case model in JSON, found no object; train again")
    values = cast("dict[str, object]", content)
    if (version := values.get("version")) != CASE_MODEL_VERSION:
        raise StorageError(
            f"{path}: expected version {CASE_MODEL_VERSION}, found {str(version)[:60]!r}; train again"
        )
    stated = values.pop(_HASH, None)
    if not _same(values, stated):
        raise StorageError(
            f"{path}: expected the content of its sha256, found another; restore the file, or train again"
        )
    try:
        return CaseModelFile.model_validate(values), str(stated)
    except ValueError as error:
        raise StorageError(
            f"{path}: expected a case model, found: {first_error(error)}; train again"
        ) from None


def _same(values: dict[str, object], stated: object) -> bool:
    try:
        return json_sha256(values) == stated
    except ValueError:  # a number that is not finite
        return False

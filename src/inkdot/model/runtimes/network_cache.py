"""The user's own cache of converted networks: a folder per network that nobody else can write into.

A conversion is taken for what its file says it is, so whoever can write it decides over scores. Therefore it is named by
everything that shapes the network, lies in a folder of mode 0700, and is used only where the folder and its files belong to
the user and match their hashes (docs/explanation/decisions/0227-converted-networks-in-the-users-cache.md).
"""

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, NamedTuple

import platformdirs

from inkdot import __version__
from inkdot.bounded_json import parse_json
from inkdot.storage.hashing import file_sha256, json_sha256

CACHE_VARIABLE: Final = "INKDOT_CACHE_DIR"
"""Environment variable that names another cache folder, such as one on a disk with more room."""

XML, BIN, FACTS = "network.xml", "network.bin", "network.json"

_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_CONVERTER_PACKAGES: Final = ("openvino", "timm", "torch")
_LARGEST_FACTS_BYTES: Final = 1 << 16


class Cache(NamedTuple):
    """Where conversions are kept.

    Attributes:
        folder: Of conversions; None where none can be trusted or written.
        reason: Why there is none, one line; empty where there is one.
    """

    folder: Path | None
    reason: str = ""


def conversion_facts(network_sha256: str, **settings: str | int) -> dict[str, str]:
    """Everything that a conversion depends on: the network, how it is converted, and by which versions of which programs.

    Args:
        network_sha256: Hash of all that shapes the network: weights, architecture, heads, normalisation.
        settings: Of the conversion, such as batch size and precision.
    """
    versions = {name: _version(name) for name in _CONVERTER_PACKAGES}
    given = {name: str(value) for name, value in settings.items()}
    return {"network_sha256": network_sha256, "inkdot": __version__, **versions, **given}


def user_cache() -> Cache:
    """The folder of conversions, made with mode 0700 where it is missing.

    It is ``networks`` in the folder that INKDOT_CACHE_DIR names, else in the user's cache folder of this system
    (``XDG_CACHE_HOME/inkdot`` or ``~/.cache/inkdot`` on Linux).
    """
    try:
        named = os.environ.get(CACHE_VARIABLE, "").strip()
        root = Path(named).absolute() if named else platformdirs.user_cache_path("inkdot", appauthor=False)
        for folder in (root, root / "networks"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if reason := not_private(folder):
                return Cache(None, reason)
    except (OSError, RuntimeError) as error:  # RuntimeError: the user has no home
        reason = error.strerror if isinstance(error, OSError) else str(error)
        where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        return Cache(None, f"{where}expected a folder that can be made, found: {reason}")
    return Cache(root / "networks")


def not_private(path: Path) -> str:
    """Why other users could have changed a file or folder; empty where only this user can.

    Symbolic links are followed. Windows keeps profiles private by itself, and has no such modes.
    """
    if os.name == "nt":
        return ""
    status = path.stat()
    if status.st_uid != os.geteuid():
        return f"{path}: expected your own, found that of user {status.st_uid}; set {CACHE_VARIABLE} to a folder of your own"
    if status.st_mode & _OTHERS_MAY_WRITE:
        return f"{path}: expected a folder that only you can write, found mode {stat.S_IMODE(status.st_mode):o}; chmod 700 it"
    return ""


def find_conversion(facts: Mapping[str, str]) -> Path | None:
    """The stored ``.xml`` of a conversion; None where there is none, or one that was changed or is not the user's own."""
    cache = user_cache()
    if cache.folder is None:
        return None
    folder = cache.folder / json_sha256(dict(facts))
    files = [folder / name for name in (XML, BIN, FACTS)]
    try:
        if any(path.is_symlink() or not_private(path) for path in (folder, *files)):
            return None
        if files[2].stat().st_size > _LARGEST_FACTS_BYTES or not all(path.is_file() for path in files):
            return None
        known: object = parse_json(files[2].read_text(encoding="utf-8"))
        return files[0] if known == _stored_facts(facts, folder) else None
    except (OSError, ValueError):
        return None


def store_conversion(facts: Mapping[str, str], save: Callable[[Path], None]) -> Path | None:
    """Keep a conversion; None where it cannot be kept.

    Args:
        facts: As of :func:`conversion_facts`.
        save: Writes the network to a path that ends in ``.xml``, its weights beside it.
    """
    cache = user_cache()
    if cache.folder is None:
        return None
    folder = cache.folder / json_sha256(dict(facts))
    temporary: Path | None = None
    try:
        temporary = Path(tempfile.mkdtemp(prefix=".", suffix=".partial", dir=cache.folder))  # mode 0700
        save(temporary / XML)
        text = json.dumps(_stored_facts(facts, temporary), indent=2, sort_keys=True)
        (temporary / FACTS).write_text(text + "\n", encoding="utf-8")
        for path in temporary.iterdir():
            path.chmod(0o600)
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        elif folder.exists() and find_conversion(facts) is None:
            # Damaged. Another process may do the same: renamed first, so that each removes its own.
            shutil.rmtree(folder.rename(temporary.with_suffix(".damaged")), ignore_errors=True)
        if not folder.exists():
            temporary.rename(folder)
    except (OSError, RuntimeError):  # RuntimeError: OpenVINO could not write
        pass
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return find_conversion(facts)


def _stored_facts(facts: Mapping[str, str], folder: Path) -> dict[str, str]:
    hashes = {f"{path.name}_sha256": file_sha256(path) for path in (folder / XML, folder / BIN)}
    return {**facts, **hashes}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"

"""Repositories of the Hugging Face hub: configs and weights, downloaded once into the hub's cache."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import logging
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import timm
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError

from inkdot.errors import UserError

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_SECONDS: Final = 4.0
"""Longest wait for a connection."""


def hub_config(repository: str) -> tuple[Mapping[str, Any], str, Mapping[str, Any]]:
    """Timm's ``pretrained_cfg``, architecture and ``model_args`` of a repository (``owner/name``, with ``@revision`` if wanted).

    Raises:
        UserError: The repository cannot be reached or read, or has no config of timm.
    """
    with _one_line("model.backbone", repository):
        return timm.models.load_model_config_from_hf(repository)


def hub_weights(repository: str, file: str = "") -> Path:
    """The file of weights of a repository, downloaded into the hub's cache; safetensors first.

    Raises:
        UserError: It cannot be downloaded.
    """
    name, _, revision = repository.partition("@")
    with _one_line("model.weights", repository):
        for candidate in (file,) if file else _WEIGHTS[:-1]:
            try:
                return Path(hf_hub_download(name, candidate, revision=revision or None))
            except EntryNotFoundError:
                if file:
                    raise
        return Path(hf_hub_download(name, _WEIGHTS[-1], revision=revision or None))


@contextmanager
def hub_access() -> Generator[str]:
    """Quiet access to the hub: its cache alone where no connection can be opened, since the hub would retry every file for 23 s.

    Yields:
        What is missing, such as "no connection to huggingface.co"; empty where the hub answers, or is set to be offline.
    """
    logger = logging.getLogger("huggingface_hub")
    level, offline = logger.level, constants.HF_HUB_OFFLINE
    missing = "" if offline else _no_connection()
    logger.setLevel(logging.ERROR)
    constants.HF_HUB_OFFLINE = offline or bool(missing)
    try:
        yield missing
    finally:
        constants.HF_HUB_OFFLINE = offline
        logger.setLevel(level)


@contextmanager
def _one_line(key: str, repository: str) -> Generator[None]:
    """One line for whatever the hub raises, without its lines on retries."""
    with hub_access() as missing:
        try:
            yield
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            reason = missing or " ".join(str(error).split())[:160]
            raise UserError(
                f"{key}: expected the repository {repository} of the Hugging Face hub, could not read it ({reason}); without "
                f"internet or access, get its files from its page there on another machine and name their folder as "
                "local-dir:/FOLDER in model.backbone, or a recipe of `inkdot encoders` there and the file in model.weights"
            ) from None


def _no_connection() -> str:
    """Why the hub, or the proxy that is set before it, cannot be reached; empty where a connection opens in time."""
    hub = urlsplit(constants.ENDPOINT)
    proxies = {} if proxy_bypass(hub.hostname or "") else getproxies()
    proxy = proxies.get(hub.scheme) or proxies.get("all")
    target = hub if not proxy else urlsplit(proxy if "//" in proxy else f"//{proxy}")
    address = (target.hostname or "", target.port or (80 if target.scheme == "http" else 443))
    opened: list[bool] = []

    def connect() -> None:
        with suppress(OSError), socket.create_connection(address, timeout=_SECONDS):
            opened.append(True)

    # In a thread, since the look-up of a name has no time limit.
    thread = Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_SECONDS)
    return "" if opened else f"no connection to {address[0]}"

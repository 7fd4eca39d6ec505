"""Repositories of the Hugging Face hub: configs and weights, downloaded once into the hub's cache."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import timm
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError

from inkdot.errors import UserError

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


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
def _one_line(key: str, repository: str) -> Generator[None]:
    """One line for whatever the hub raises, without its lines on retries."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"{key}: expected the repository {repository} of the Hugging Face hub, could not read it ({reason}); without "
            f"internet or access, get its files from its page there on another machine and name their folder as "
            "local-dir:/FOLDER in model.backbone, or a recipe of `inkdot encoders` there and the file in model.weights"
        ) from None
    finally:
        logger.setLevel(level)

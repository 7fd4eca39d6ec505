"""Software, hardware and hashes of a run, to repeat it; no name of a person or a computer."""

# pyright: reportUnknownMemberType=false

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import torch

ENVIRONMENT_VERSION: Final = "inkdot.environment/1"

_PACKAGES: Final = (
    "inkdot",
    "torch",
    "timm",
    "lightning",
    "numpy",
    "albumentations",
    "opencv-python-headless",
    "openslide-python",
    "openvino",
    "pyarrow",
)


def environment_text(device: torch.device, hashes: dict[str, str], seed: int) -> str:
    """Content of ``environment.json``; the same on the same machine.

    Args:
        device: The device that trains.
        hashes: Hashes of the inputs of the run, by name.
        seed: Seed of the run.
    """
    facts = {
        "version": ENVIRONMENT_VERSION,
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "hashes": hashes,
        "seed": seed,
    }
    return json.dumps(facts, indent=2, sort_keys=True) + "\n"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

"""Cores, memory and installed packages of this machine."""

import importlib.metadata
import os
import platform


def hardware_facts() -> dict[str, str]:
    """Name and value of each fact, in the order to show them."""
    facts = {
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "cores": str(_cores()),
        "memory": _memory(),
    }
    for name in ("torch", "timm", "openslide-python", "openvino", "ray"):
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            facts[name] = "not installed"
    return facts


def _cores() -> int:
    """Cores that this process may use; a cluster or container may limit them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> str:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return "unknown"
    return f"{pages * size / 1e9:.0f} GB"

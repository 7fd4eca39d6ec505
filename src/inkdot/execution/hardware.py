"""What this machine offers: cores, memory, installed runtimes."""

import importlib.metadata
import os
import platform


def machine_facts() -> dict[str, str]:
    """What is there, by name, in the order to show it."""
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
    """Cores that this process may use, which a cluster or container may have limited."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> str:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return "unknown"
    return f"{pages * size / 1e9:.0f} GB"

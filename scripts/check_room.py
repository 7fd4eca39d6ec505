"""Warn of a disk that is too small for the installation: `check_room.py ENVIRONMENT` prints one line, or nothing.

It is only a warning: where pip installs PyTorch without CUDA, much less is enough.
"""

import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from shutil import disk_usage

KEPT_GB, PASSING_GB = 7.7, 1.5
"""Size of the environment, and the further peak during the installation (0.8 measured), in the temporary folder."""


def shortages(needed_gb: dict[Path, float]) -> list[str]:
    """Describe each disk that has less free space than is needed.

    Args:
        needed_gb: Existing folders, and the gigabytes that will be written into each. Folders of one disk are added up.
    """
    disks, required = dict[int, Path](), defaultdict[int, float](float)
    for folder, gigabytes in needed_gb.items():
        disk = folder.stat().st_dev
        disks.setdefault(disk, folder)
        required[disk] += gigabytes
    found = [(folder, required[disk], disk_usage(folder).free / 1e9) for disk, folder in disks.items()]
    return [
        f"{folder}: the installation needs about {needed:.1f} GB, {free:.1f} GB are free"
        for folder, needed, free in found
        if free < needed
    ]


def main() -> int:
    """Print the shortages; the exit status is 0, since an installation may need less."""
    environment = Path(sys.argv[1]).absolute()
    if environment.exists():
        return 0
    existing = next(folder for folder in environment.parents if folder.is_dir())
    short = shortages({existing: KEPT_GB, Path(tempfile.gettempdir()): PASSING_GB})
    if short:
        print(
            f"{'; '.join(short)}. Free some, or name other folders: make VENV=FOLDER, TMPDIR=FOLDER",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

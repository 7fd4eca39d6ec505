"""Say when a disk is too small for the installation: `check_room.py ENVIRONMENT` prints one line, or nothing.

A warning and no refusal: where pip finds PyTorch without CUDA, much less is enough.
"""

import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from shutil import disk_usage

KEPT_GB, PASSING_GB = 7.7, 1.5
"""What the environment keeps, and what it takes more at the peak of the installation (0.8 measured), in the temporary folder."""


def shortages(needed_gb: dict[Path, float]) -> list[str]:
    """Name each disk that has less than is needed on it.

    Args:
        needed_gb: Existing folders, and what will be written into each, in gigabytes. Folders of one disk are added up.
    """
    disks, wanted = dict[int, Path](), defaultdict[int, float](float)
    for folder, gigabytes in needed_gb.items():
        disk = folder.stat().st_dev
        disks.setdefault(disk, folder)
        wanted[disk] += gigabytes
    found = [(folder, wanted[disk], disk_usage(folder).free / 1e9) for disk, folder in disks.items()]
    return [
        f"{folder}: the installation needs about {needed:.1f} GB, {free:.1f} GB are free"
        for folder, needed, free in found
        if free < needed
    ]


def main() -> int:
    """Print what is short; the exit status is 0, since an installation may need less."""
    environment = Path(sys.argv[1]).absolute()
    if environment.exists():
        return 0
    existing = next(folder for folder in environment.parents if folder.is_dir())
    short = shortages({existing: KEPT_GB, Path(tempfile.gettempdir()): PASSING_GB})
    if short:
        print(
            f"{'; '.join(short)}. Free some, or name another region: make VENV=FOLDER, TMPDIR=FOLDER",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

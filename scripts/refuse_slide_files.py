"""Refuse slides and large files in the repository: `refuse_slide_files.py [FILE...]`; without, all tracked.

A slide may belong to a patient, and the history keeps every committed file. A file is refused for its name, its first
bytes (a renamed TIFF or DICOM) or its size.
"""

import shutil
import subprocess
import sys
from pathlib import Path

SLIDE_SUFFIXES = frozenset(
    {".svs", ".svslide", ".tif", ".tiff", ".btf", ".tf8", ".qptiff", ".ndpi", ".ndpis", ".mrxs", ".dcm"}
    | {".scn", ".bif", ".vms", ".vmu", ".vsi", ".czi", ".isyntax", ".lif"}
)
MAX_BYTES = 1_000_000
MAX_BYTES_OF_WEIGHTS = 16_000_000  # of the models that ship, in models/
TIFF_BEGINNINGS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
DICOM_WORD_AT = 128


def reason_to_refuse(path: Path) -> str | None:
    """Reason why a file must not be committed; None for an allowed one."""
    if path.suffix.lower() in SLIDE_SUFFIXES:
        return f"'{path.suffix}' is a slide's file name"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        beginning = file.read(DICOM_WORD_AT + 4)
    if beginning.startswith(TIFF_BEGINNINGS):
        return "it starts like a TIFF"
    if beginning[DICOM_WORD_AT:] == b"DICM":
        return "it starts like a DICOM file"
    size = path.stat().st_size
    shipped = path.suffix == ".safetensors" and path.parent.parent.name == "models"
    limit = MAX_BYTES_OF_WEIGHTS if shipped else MAX_BYTES
    if size > limit:
        return f"it has {size:,} bytes, more than {limit:,}"
    return None


def tracked_files(folder: Path) -> list[Path]:
    """Return the files that git knows in a folder.

    Raises:
        RuntimeError: there is no git, or the folder is no checkout.
    """
    git = shutil.which("git")
    if git is None:
        raise RuntimeError("expected git on the PATH to list the tracked files, found none")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=folder, capture_output=True, check=False)
    if listed.returncode != 0:
        message = listed.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"expected a git checkout in {folder}: {message}")
    return [folder / name for name in listed.stdout.decode().split("\0") if name]


def main() -> int:
    """Print a line per refused file; the exit status is 1 when there was one."""
    paths = [Path(argument) for argument in sys.argv[1:]] or tracked_files(Path.cwd())
    refused = [(path, reason) for path in paths if (reason := reason_to_refuse(path)) is not None]
    for path, reason in refused:
        print(f"{path}: refused, {reason}. Keep it outside the repository and name it in a slides.csv.")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())

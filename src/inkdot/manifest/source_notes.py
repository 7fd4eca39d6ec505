"""What of slides and folders is passed over or named otherwise, for the start of a command."""

import os
from collections.abc import Sequence
from pathlib import Path

from inkdot.manifest.file_names import composed, existing_spelling
from inkdot.manifest.folder_slides import passed_over_notes, slides_of_files, table_of
from inkdot.manifest.read_slides import read_slides
from inkdot.manifest.slide_folder import TABLE_NAME, counted, scan_folder, slide_names


def source_notes(sources: Sequence[Path]) -> list[str]:
    """What of slides and folders of slides is passed over or named otherwise, one line each, for the start of a command.

    Args:
        sources: As given to the command. Tables have no notes: they list their slides.
    """
    notes: list[str] = []
    for source in map(existing_spelling, sources):
        if source.is_dir():
            notes += _folder_notes(source)
        elif source.suffix.lower() != ".csv":
            notes += _renamed([source], None)
    return notes


def _folder_notes(folder: Path) -> list[str]:
    scan = scan_folder(folder)
    table = table_of(folder)
    if table is None:
        return [*_renamed(scan.slides, folder), *(f"{folder}: {note}" for note in passed_over_notes(scan))]
    listed = {os.path.realpath(entry.path) for entry in read_slides(table, (), unknown_labels="skip")}
    missing = [path for path in scan.slides if os.path.realpath(path) not in listed]
    notes = [f"{folder}: its {TABLE_NAME} is used"]
    if missing:
        notes[0] += f"; {counted(missing, 'slide')} not listed in it: add a row for each that should be read"
    return notes


def _renamed(paths: Sequence[Path], root: Path | None) -> list[str]:
    """Slides of which the slide_id is not the name of the file."""
    names, plain = slide_names(paths, root), slide_names(paths)
    notes = [
        f"{entry.path}: its slide_id is {entry.slide_id!r}, since its name holds what a slide_id cannot"
        for entry in slides_of_files(paths, root)
        if entry.slide_id != composed(names[entry.path])
    ]
    twins = [name for path, name in sorted(names.items()) if name != plain[path]]
    if twins and root is not None:
        notes.append(
            f"{root}: {len(twins)} slides have names that are in several subfolders; their slide_id has the subfolder before it, "
            f"such as {composed(twins[0])}"
        )
    return notes

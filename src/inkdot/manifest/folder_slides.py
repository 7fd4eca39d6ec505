"""Slides of a folder as entries, and what a search of the folder passed over."""

from collections.abc import Sequence
from pathlib import Path

from inkdot.errors import ManifestError
from inkdot.manifest.file_names import composed, id_of_name, is_usable_id, is_writable_name
from inkdot.manifest.slide_folder import TABLE_NAME, FolderScan, counted, counted_kinds, slide_names
from inkdot.records import SlideEntry


def table_of(folder: Path) -> Path | None:
    """The ``slides.csv`` of a folder, which is read in place of its files; None where it has none."""
    path = folder / TABLE_NAME
    return path if path.is_file() else None


def slides_of_files(paths: Sequence[Path], root: Path | None = None) -> list[SlideEntry]:
    """Slides by their files. Changed names that would be those of others are numbered: one odd name must not stop a batch."""
    for path in paths:
        if not is_writable_name(path):
            shown = path.name.encode("utf-8", "backslashreplace").decode("utf-8")
            raise ManifestError(
                f"the file's name: expected a name of text (UTF-8), found {shown!r}; rename the file"
            )
    names = slide_names(paths, root)
    taken = {name.casefold() for name in map(composed, names.values()) if is_usable_id(name)}
    entries: list[SlideEntry] = []
    for path in paths:
        name = composed(names[path])
        slide_id = first_id = id_of_name(name)
        count = 1
        while slide_id != name and slide_id.casefold() in taken:
            count += 1
            slide_id = f"{first_id}_{count}"
        taken.add(slide_id.casefold())
        entries.append(SlideEntry(slide_id=slide_id, path=path))
    return entries


def passed_over_notes(scan: FolderScan) -> list[str]:
    """What of a folder is no slide that will be read, one line each."""
    notes: list[str] = []
    if scan.others:
        notes.append(
            f"{counted(scan.others, 'file')} passed over: of a kind that is not read, or a name that is no text"
        )
    if scan.beside:
        notes.append(f"files beside the slides not read: {counted_kinds(scan.beside)}")
    if scan.tables:
        notes.append(
            f"{counted([path.parent for path in scan.tables], 'subfolder')} with a {TABLE_NAME} of their own: name these tables "
            "to use what they say"
        )
    if scan.outputs:
        notes.append(f"{counted(scan.outputs, 'subfolder')} not searched: written by Inkdot or QuPath")
    if scan.unreadable:
        notes.append(f"{counted(scan.unreadable, 'subfolder')} not searched: cannot be listed")
    if scan.repeated:
        notes.append(f"{counted(scan.repeated, 'link')} passed over: the slide is listed already")
    return notes

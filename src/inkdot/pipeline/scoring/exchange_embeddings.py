"""Embeddings of one slide from and for other programs, as tasks for an executor."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from inkdot.errors import StorageError
from inkdot.records import SlideEntry, TileSpec
from inkdot.slides import open_slide
from inkdot.storage.embeddings.embedding_formats import ForeignSource, Format, read_any, write_foreign
from inkdot.storage.embeddings.slide_embeddings import (
    EmbeddingDtype,
    Embeddings,
    FloatArray,
    read_embeddings,
    read_embeddings_metadata,
    write_embeddings,
)
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import Outcome

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class ImportEmbeddingsTask:
    """Write ``embeddings/<slide_id>.h5`` from a file that TRIDENT, CLAM, STAMP or Inkdot wrote.

    Attributes:
        layout: The run folder.
        folder: Folder of the files, each named by the slide_id or by the slide file.
        encoder: Name of the encoder that made them; empty where the files state it.
        tile_spec: Side and scale of the tiles where the files state none; or None.
        dtype: Stored precision.
    """

    layout: RunLayout
    folder: Path
    encoder: str = ""
    tile_spec: TileSpec | None = None
    dtype: EmbeddingDtype = "float16"

    def __call__(self, entry: SlideEntry) -> Outcome:
        """Import the embeddings of one slide.

        Raises:
            StorageError: The slide has no file, or it is damaged or lacks encoder or geometry.
            SlideError: The slide cannot be opened.
        """
        path = self.file(entry)
        made_from = {"imported_sha256": file_sha256(path), "imported_encoder": self.encoder}
        if self._current(entry, made_from):
            return "reused"
        with closing(open_slide(entry)) as slide:
            found = read_any(path, ForeignSource(slide.info, self.encoder, self.tile_spec))
        write_embeddings(
            self.layout, entry.slide_id, _batches(found), coords=found.coords, dims=found.values.shape[1], dtype=self.dtype,
            row=found.row, metadata={**found.metadata, **made_from},
        )  # fmt: skip
        return "done"

    def file(self, entry: SlideEntry) -> Path:
        """The file of a slide.

        Raises:
            StorageError: There is none.
        """
        names = dict.fromkeys((entry.slide_id, entry.path.stem, entry.path.name))
        for name in names:
            if (path := self.folder / f"{name}.h5").is_file():
                return path
        raise StorageError(
            f"{self.folder}: expected {' or '.join(f'{name}.h5' for name in names)}, found none; "
            "give the folder in which the features of slides lie"
        )

    def _current(self, entry: SlideEntry, made_from: dict[str, str]) -> bool:
        try:
            earlier = read_embeddings_metadata(self.layout, entry.slide_id)
        except StorageError:
            return False
        return {name: earlier.get(name) for name in (*made_from, "dtype")} == {
            **made_from,
            "dtype": self.dtype,
        }


@dataclass(frozen=True, slots=True)
class ExportEmbeddingsTask:
    """Write a slide's embeddings as another program reads them, beside Inkdot's own.

    Attributes:
        layout: The run folder, with embeddings.
        format_: The program.
    """

    layout: RunLayout
    format_: Format

    def __call__(self, entry: SlideEntry) -> Outcome:
        """Export the embeddings of one slide.

        Raises:
            StorageError: The slide has no embeddings, or they are damaged.
        """
        embeddings = read_embeddings(self.layout, entry.slide_id)
        # The name may come from a file of others.
        encoder = re.sub(r"[^A-Za-z0-9_.-]+", "_", str(embeddings.metadata["encoder"])).lstrip(".")[:100]
        path = self.layout.exported_embeddings(self.format_, encoder or "encoder", entry.slide_id)
        write_foreign(path, self.format_, entry.slide_id, embeddings)
        return "done"


def _batches(embeddings: Embeddings) -> Iterator[FloatArray]:
    for first in range(0, len(embeddings.values), _ROWS_AT_ONCE):
        yield embeddings.values[first : first + _ROWS_AT_ONCE]

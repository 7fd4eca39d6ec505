"""Tables of labelled images, with column names from the config."""

from collections.abc import Collection, Sequence
from pathlib import Path

from inkdot.config import ImagesConfig
from inkdot.labels import Head
from inkdot.manifest import ImageColumns, ImageEntry, read_images
from inkdot.records import Mpp


def read_image_table(
    path: Path,
    heads: Sequence[Head],
    images: ImagesConfig,
    *,
    optional: Collection[str] = (),
    as_named: bool = False,
) -> list[ImageEntry]:
    """Read an ``images.csv``.

    Args:
        path: The table.
        heads: The heads.
        images: Names of its columns.
        optional: Heads whose column may be missing or blank throughout.
        as_named: A column that ``images.heads`` names must exist even so.

    Raises:
        ManifestError: The table, a column or a row is wrong.
    """
    stated = images.mpp_of_all
    columns = ImageColumns(
        path=images.path,
        group=images.group,
        heads=images.heads,
        mpp=images.mpp,
        mpp_of_all=Mpp.square(stated) if isinstance(stated, float | int) else None,
        mpp_unknown=stated == "unknown",
        site=images.site,
        split=images.split,
    )
    return read_images(path, heads, columns, optional=optional, as_named=as_named)

"""Open a slide: size, scale, thumbnail, and regions by their position in micrometres."""

import base64
import html
import io
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from PIL import Image

from inkdot.api.frames import html_table
from inkdot.api.python_words import at_least_one, python_words
from inkdot.errors import ImplausibleMppError, MissingMppError, SlideError, UserError
from inkdot.geometry import check_resolution, level_for, plan_rectangle
from inkdot.manifest import read_slides, with_overrides
from inkdot.records import Mpp, ReducingSlide, RgbArray, SlideEntry
from inkdot.records import Slide as SlideReader
from inkdot.slides import open_slide as open_reader
from inkdot.storage.record_json import slide_info_json
from inkdot.tiling.tile_pixels import resized

_LARGEST_REGION_PX: Final = 2**28
_INLINE_PX: Final = 420


class Slide:
    """An open slide. Made by :func:`open_slide`; use it in a ``with`` block, or call :meth:`close`.

    Positions are micrometres from the top left corner of level 0, x to the right and y downwards. A position in
    level-0 pixels, the frame of all tables, times ``mpp`` is a position in micrometres.

    Examples:
        >>> with inkdot.open_slide("slide.svs") as slide:
        ...     slide.thumbnail(max_side=800)
        ...     pixels = slide.read_region(5000, 4000, 128, 128, mpp=0.25)
    """

    def __init__(self, reader: SlideReader, entry: SlideEntry, mpp_error: SlideError | None = None) -> None:
        self._reader = reader
        self._entry = entry
        self._mpp_error = mpp_error

    @property
    def slide_id(self) -> str:
        """Name of the slide in tables: the file's name without its suffix."""
        return self._entry.slide_id

    @property
    def entry(self) -> SlideEntry:
        """The slide as a row of ``slides.csv``: path, stated mpp, stain and preparation."""
        return self._entry

    @property
    def reader(self) -> SlideReader:
        """The reader behind this slide, which works in level-0 pixels.

        Raises:
            MissingMppError: The slide has no µm/px.
            ImplausibleMppError: The file's µm/px are implausible.
        """
        self._require_mpp()
        return self._reader

    @property
    def mpp(self) -> tuple[float, float] | None:
        """Micrometres per level-0 pixel along x and along y; None where neither file nor caller states them."""
        if self._mpp_error is not None:
            return None
        return float(self._reader.info.mpp.x), float(self._reader.info.mpp.y)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in level-0 pixels."""
        width, height = self._reader.info.size_l0_px
        return int(width), int(height)

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height in micrometres.

        Raises:
            MissingMppError: The slide has no µm/px.
            ImplausibleMppError: The file's µm/px are implausible.
        """
        mpp, (width, height) = self._require_mpp(), self.size
        return width * mpp.x, height * mpp.y

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """Width and height of every pyramid level in its own pixels, level 0 first."""
        return tuple((int(width), int(height)) for width, height in self._reader.info.level_sizes_px)

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Level-0 pixels per pixel of every level; 1.0 first."""
        return self._reader.info.level_downsamples

    @property
    def synthetic(self) -> bool:
        """True where the file says that it was made by a program, not scanned."""
        return self._reader.info.synthetic

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before trusting results of this slide, e.g. a dark background."""
        missing = (str(self._mpp_error),) if self._mpp_error is not None else ()
        return (*missing, *self._reader.info.warnings)

    @property
    def metadata(self) -> Mapping[str, object]:
        """Size, scale, levels, scanned bounds, format and warnings as JSON values.

        Only technical facts: no label or macro image, no date, and no free text of the file.
        """
        facts = slide_info_json(self._reader.info)
        if self._mpp_error is not None:
            facts |= {"mpp_x": None, "mpp_y": None, "mpp_source": None}
        return facts

    def thumbnail(self, max_side: int = 1024) -> Image.Image:
        """The whole of level 0 as an RGB image, its longer side at most ``max_side`` pixels. Needs no µm/px.

        ``numpy.asarray(image)`` gives uint8 [height, width, 3].
        """
        return Image.fromarray(self._reader.thumbnail(at_least_one("max_side", max_side)))

    def read_region(
        self, x_um: float, y_um: float, width_um: float, height_um: float, mpp: float = 0.5
    ) -> RgbArray:
        """Pixels of a rectangle at a physical scale.

        The corner is rounded to a whole level-0 pixel. Pixels come from the coarsest level that is fine enough, and
        are reduced by area means. Beyond the slide they are white.

        Args:
            x_um: Left edge in µm from the left edge of level 0; may lie outside of the slide.
            y_um: Top edge in µm from the top edge of level 0.
            width_um: Width in µm.
            height_um: Height in µm.
            mpp: Micrometres per pixel of the result; at most 1.25 times finer than level 0.

        Returns:
            uint8 RGB [round(height_um / mpp), round(width_um / mpp), 3], each side at least 1.

        Raises:
            MissingMppError: The slide has no µm/px; open it with ``mpp=``.
            ImplausibleMppError: The file's µm/px are implausible; open it with ``mpp=``.
            ResolutionError: The slide is too coarse for ``mpp``.
            UnreadableSlideError: The pixels cannot be decoded there.
            UserError: A number is out of range.

        Examples:
            >>> slide.read_region(5000, 4000, width_um=128, height_um=64, mpp=0.5).shape
            (128, 256, 3)
        """
        slide_mpp, info = self._require_mpp(), self._reader.info
        if not all(math.isfinite(value) and value > 0 for value in (width_um, height_um, mpp)):
            raise UserError(
                f"expected a width, a height and an mpp above 0, found {width_um:g} µm, {height_um:g} µm and {mpp:g} µm/px"
            )
        if not (math.isfinite(x_um) and math.isfinite(y_um)):
            raise UserError(f"expected a finite position, found ({x_um:g}, {y_um:g}) µm")
        check_resolution(info, mpp)
        width, height = max(1, round(width_um / mpp)), max(1, round(height_um / mpp))
        if width * height > _LARGEST_REGION_PX:
            raise UserError(
                f"expected a region of at most {_LARGEST_REGION_PX:,} pixels, found {width:,} x {height:,}; "
                "ask for a smaller region or a coarser mpp"
            )
        plan = plan_rectangle(
            info,
            level_for(info, mpp),
            round(x_um / slide_mpp.x),
            round(y_um / slide_mpp.y),
            width_um / slide_mpp.x,
            height_um / slide_mpp.y,
        )
        if isinstance(self._reader, ReducingSlide):
            return resized(self._reader.read_reduced(plan, width, height), width, height)
        return resized(self._reader.read(plan), width, height)

    def close(self) -> None:
        """Release the file; reading afterwards raises ValueError, as on other closed files."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        width, height = self.size
        return (
            f"Slide({self.slide_id!r}, {width} x {height} px, {self._mpp_words()}, {len(self.levels)} levels)"
        )

    def _repr_html_(self) -> str:
        buffer = io.BytesIO()
        self.thumbnail(_INLINE_PX).save(buffer, format="JPEG", quality=85)
        image = base64.b64encode(buffer.getvalue()).decode("ascii")
        width, height = self.size
        rows = {
            "slide": self.slide_id,
            "size": f"{width:,} x {height:,} px",
            "scale": self._mpp_words(),
            "levels": ", ".join(f"1:{downsample:g}" for downsample in self.level_downsamples),
            "format": self._reader.info.vendor,
            "synthetic": "yes: made by a program, not scanned" if self.synthetic else "",
            "warnings": "; ".join(self.warnings),
        }
        return f"{html_table(rows)}<img alt='{html.escape(self.slide_id)}' src='data:image/jpeg;base64,{image}'/>"

    def _mpp_words(self) -> str:
        mpp = self.mpp
        if mpp is None:
            return "µm/px not stated"
        return f"{mpp[0]:.4g} µm/px" if mpp[0] == mpp[1] else f"{mpp[0]:.4g} x {mpp[1]:.4g} µm/px"

    def _require_mpp(self) -> Mpp:
        if self._mpp_error is not None:
            raise self._mpp_error.with_traceback(None)
        return self._reader.info.mpp


def open_slide(
    path: str | os.PathLike[str],
    mpp: float | None = None,
    *,
    stain: str | None = None,
    preparation: str | None = None,
) -> Slide:
    """Open a slide file: SVS, NDPI, MRXS, SCN, DICOM, TIFF, PNG, JPEG and what else OpenSlide reads.

    A slide without µm/px opens too: its thumbnail can be seen, and everything physical raises MissingMppError.

    Args:
        path: The slide.
        mpp: Micrometres per level-0 pixel, instead of what the file states.
        stain: Stain, such as ``pap`` or ``he``; predictions warn where a model never saw it.
        preparation: thinprep, cytospin, section or smear.

    Raises:
        UnreadableSlideError: The file is damaged, or of a kind that no reader opens.
        ManifestError: Nothing there, or the mpp or the preparation is not a possible one.

    Examples:
        >>> slide = inkdot.open_slide("slide.png", mpp=0.25)
        >>> slide.size_um
        (3000.0, 2000.0)
    """
    entry = slide_entry(path, mpp=mpp, stain=stain, preparation=preparation)
    with python_words():
        try:
            return Slide(open_reader(entry), entry)
        except (MissingMppError, ImplausibleMppError) as error:
            mpp_error = error
    try:
        with python_words():
            raise mpp_error
    except SlideError as error:
        # A scale is needed to open the file. It is used for nothing: all physical methods raise the error.
        reader = open_reader(replace(entry, mpp=Mpp.square(1.0)))
        return Slide(reader, entry, error)


def slide_entry(
    slide: Slide | str | os.PathLike[str],
    *,
    mpp: float | None = None,
    stain: str | None = None,
    preparation: str | None = None,
) -> SlideEntry:
    """An open slide or a slide file as a row of ``slides.csv``, as the commands make it of a path.

    Raises:
        ManifestError: Nothing there, a table or a folder of several slides, or an argument is not a possible one.
    """
    with python_words():
        entries = [slide.entry] if isinstance(slide, Slide) else read_slides(Path(slide), ())
        if len(entries) != 1:
            raise UserError(f"{slide}: expected one slide, found {len(entries)}; give the path of one file")
        return with_overrides(entries, mpp=mpp, stain=stain, preparation=preparation)[0]

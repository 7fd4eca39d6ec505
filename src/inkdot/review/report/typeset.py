"""Typesetting by Typst: text goes in as data, so nothing that a name or a note holds is read as markup."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from inkdot.errors import UserError
from inkdot.plotting import font_files

if TYPE_CHECKING:
    import typst

_T = TypeVar("_T")

_MAIN: Final = "main.typ"
_FONTS: Final = "fonts"
_NO_GLYPH: Final = "could not be displayed"
_FACTS: Final = "facts"


class Typesetter:
    """Lays out one template after another in a folder of its own, which closing removes.

    Args:
        template: Name of the template beside this module, without ``.typ``.

    Raises:
        UserError: Typst is not installed.
    """

    def __init__(self, template: str) -> None:
        self._typst = _typst()
        self._folder = tempfile.TemporaryDirectory(prefix="inkdot-report-", ignore_cleanup_errors=True)
        self.root = Path(self._folder.name)
        """Folder of the images that pages name."""
        text = files("inkdot.review.report").joinpath("templates", f"{template}.typ").read_bytes()
        (self.root / _MAIN).write_bytes(text)
        self._plain = self._fonts("plain", font_files("DejaVuSans"))
        self._any: typst.Fonts | None = None

    def __enter__(self) -> "Typesetter":
        """The typesetter itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the folder."""
        self._folder.cleanup()

    def pdf(self, versions: Sequence[Mapping[str, object]], made: datetime) -> tuple[bytes, int]:
        """The first version that fits one page as tagged PDF (PDF/UA-1), else the last.

        Args:
            versions: The facts of the page, from the most to the least; each takes less room than the one before.
            made: Date of the document.

        Returns:
            The file, and its number of pages.
        """
        best = self._with_glyphs(partial(self._pdf, versions[0], made))
        if best[1] == 1 or len(versions) == 1:
            return best
        best = self._with_glyphs(partial(self._pdf, versions[-1], made))
        too_much, fits = 0, len(versions) - 1
        while best[1] == 1 and fits - too_much > 1:
            middle = (too_much + fits) // 2
            found = self._with_glyphs(partial(self._pdf, versions[middle], made))
            if found[1] == 1:
                best, fits = found, middle
            else:
                too_much = middle
        return best

    def png(self, facts: Mapping[str, object], ppi: float) -> bytes:
        """A page as PNG.

        Args:
            facts: The facts of the page.
            ppi: Pixels per inch of its paper.
        """
        return self._with_glyphs(partial(self._png, facts, ppi))

    def _pdf(self, facts: Mapping[str, object], made: datetime, fonts: "typst.Fonts") -> tuple[bytes, int]:
        compiler = self._compiler(facts, fonts)
        found = compiler.compile(format="pdf", pdf_standards=["ua-1"], timestamp=round(made.timestamp()))
        assert isinstance(found, bytes)
        return found, int(json.loads(compiler.query("<pages>", field="value", one=True)))

    def _png(self, facts: Mapping[str, object], ppi: float, fonts: "typst.Fonts") -> bytes:
        found = self._compiler(facts, fonts).compile(format="png", ppi=ppi)
        assert isinstance(found, bytes)
        return found

    def _compiler(self, facts: Mapping[str, object], fonts: "typst.Fonts") -> "typst.Compiler":
        return self._typst.Compiler(
            self.root / _MAIN,
            root=self.root,
            font_paths=fonts,
            sys_inputs={_FACTS: json.dumps(facts, ensure_ascii=False)},
        )

    def _with_glyphs(self, once: Callable[["typst.Fonts"], _T]) -> _T:
        """Fonts of the system stand in for what DejaVu lacks; a sign that none has is shown as a box."""
        try:
            return once(self._plain)
        except self._typst.TypstError as error:
            if _NO_GLYPH not in error.message:
                raise
        # Matplotlib brings a font with a box for every sign. It comes second: Typst would take it before a font with the sign.
        self._any = self._any or self._fonts("any", font_files())
        return once(self._any)

    def _fonts(self, name: str, paths: Iterable[Path]) -> "typst.Fonts":
        folder = self.root / _FONTS / name
        folder.mkdir(parents=True)
        for path in paths:
            shutil.copy(path, folder)
        return self._typst.Fonts(include_system_fonts=True, include_embedded_fonts=True, font_paths=[folder])


def _typst():
    try:
        import typst
    except ImportError:
        raise UserError(
            "expected Typst, which lays out reports, found none; pip install 'inkdot[report]'"
        ) from None
    return typst

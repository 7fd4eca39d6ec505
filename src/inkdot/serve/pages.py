"""The pages: markup of the gallery with its style and script as files, and the pages around it.

The markup holds fixed text and one block of data, which is not executed; the scripts insert its content as text and never
parse it as markup.
"""

import html
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from inkdot import __version__
from inkdot.review.gallery.page import LIBRARY, SCRIPTS, STYLES, data_block
from inkdot.review.wording import FOOTER, RESEARCH_USE, SYNTHETIC_MODEL, WHEN_UNCERTAIN

_SLOT = re.compile(r"\{\{(\w+)\}\}")
_INLINE = (
    re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>\n'),
    re.compile(r"<style>\{\{style\}\}</style>"),
    re.compile(r"<script>\{\{library\}\}</script>\n<script>\{\{script\}\}</script>"),
)


class Asset(NamedTuple):
    """A file that every page may use: its bytes and its kind."""

    data: bytes
    media_type: str


@cache
def static_files() -> Mapping[str, Asset]:
    """All files below ``/static/``, by name. Addresses are looked up here, never joined to a folder."""
    found: dict[str, Asset] = {}
    review, serve = files("inkdot.review") / "assets", files("inkdot.serve") / "assets"
    for folder in (review / "js", serve / "js", review / "vendor"):
        for file in folder.iterdir():
            if file.name.endswith(".js"):
                found[file.name] = Asset(file.read_bytes(), "text/javascript; charset=utf-8")
    for file in (*(review / name for name in STYLES), serve / "serve.css"):
        found[file.name] = Asset(file.read_bytes(), "text/css; charset=utf-8")
    found["icon.svg"] = Asset((serve / "icon.svg").read_bytes(), "image/svg+xml")
    return found


def review_page(facts: Mapping[str, object]) -> str:
    """Gallery and viewer: the markup of :mod:`inkdot.review.gallery.page`, its style and scripts as files.

    Args:
        facts: What the gallery shows, with the reader's verdicts.
    """
    markup = (files("inkdot.review") / "assets" / "index.html").read_text(encoding="utf-8")
    gallery = [name for name in SCRIPTS if name not in {"base.js", "app.js"}]
    scripts = (
        LIBRARY,
        "base.js",
        "store.js",
        *gallery,
        "layers.js",
        "viewer.js",
        "mark_on_slide.js",
        "served.js",
        "app.js",
    )
    tags = "\n".join(f'<script src="static/{name}"></script>' for name in scripts)
    for pattern, instead in zip(_INLINE, ("", _style_links(), tags), strict=True):
        markup, count = pattern.subn(lambda _, text=instead: text, markup)
        assert count == 1, f"the gallery's markup no longer has {pattern.pattern}"
    return _filled(markup, facts)


def worklist_page(facts: Mapping[str, object]) -> str:
    """The list of slides."""
    return _filled(_template("worklist.html"), facts)


def login_page(*, refused: bool) -> str:
    """The login page.

    Args:
        refused: An invalid token was entered.
    """
    return _filled(_template("login.html").replace("{{refused_hidden}}", "" if refused else "hidden"), {})


def missing_page() -> str:
    """The page for unknown addresses; at any depth, so its files are named from the root."""
    return _filled(_template("missing.html"), {}).replace('href="static/', 'href="/static/')


def _filled(markup: str, facts: Mapping[str, object]) -> str:
    synthetic = bool(facts.get("synthetic_model"))
    slots = {
        "facts": data_block(facts),
        "research_use": html.escape(RESEARCH_USE),
        "footer": html.escape(FOOTER),
        "when_uncertain": html.escape(WHEN_UNCERTAIN),
        "synthetic_model": html.escape(SYNTHETIC_MODEL),
        "synthetic_hidden": "" if synthetic else "hidden",
        "version": html.escape(__version__),
        "style": _style_links(),
    }
    return _SLOT.sub(lambda match: slots[match[1]], markup)


def _style_links() -> str:
    links = [f'rel="stylesheet" href="static/{name}"' for name in (*STYLES, "serve.css")]
    return "\n".join(f"<link {link}>" for link in (*links, 'rel="icon" href="static/icon.svg"'))


def _template(name: str) -> str:
    return (files("inkdot.serve") / "assets" / name).read_text(encoding="utf-8")

"""The page as one file that opens from disk: markup, style, script and data, under a strict content security policy.

Style and script are inline and allowed by their hashes only: browsers treat the origin of ``file://`` pages differently
and refuse module scripts there. The data is in a data block, which is not executed. Only images beside the page may be
loaded.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files

from inkdot import __version__
from inkdot.review.wording import FOOTER, RESEARCH_USE, SYNTHETIC_MODEL, WHEN_UNCERTAIN

SCRIPTS = (
    "base.js", "verdict_state.js", "answers.js", "verdict_file.js", "images.js", "nuclei.js", "cards.js", "overview.js",
    "slides.js", "case_panel.js", "slide_answer.js", "mark_missed.js", "patients.js", "unassessed.js",
    "zoom_view.js", "ruler.js", "picture.js", "context.js", "listing.js", "keys.js", "app.js",
)  # fmt: skip
"""In the order they run; each is a classic script that adds to one shared object."""

STYLES = ("gallery.css", "view.css", "answers.css", "case_panel.css")

LIBRARY = "openseadragon.min.js"
"""The viewer of others, in a script element of its own: it was not written for strict mode, which the others ask for."""

_SLOT = re.compile(r"\{\{(\w+)\}\}")


def page_text(facts: Mapping[str, object]) -> str:
    """The whole page.

    Args:
        facts: What :func:`inkdot.review.gallery.gallery.gallery_facts` returns.
    """
    style = "\n".join(_asset(name) for name in STYLES)
    script = "\n".join(_asset(f"js/{name}") for name in SCRIPTS)
    library = _asset(f"vendor/{LIBRARY}")
    synthetic = bool(facts.get("synthetic_model"))
    slots = {
        "policy": html.escape(policy(style, library, script)),
        "style": style,
        "library": library,
        "script": script,
        "facts": data_block(facts),
        "research_use": html.escape(RESEARCH_USE),
        "footer": html.escape(FOOTER),
        "when_uncertain": html.escape(WHEN_UNCERTAIN),
        "synthetic_model": html.escape(SYNTHETIC_MODEL),
        "synthetic_hidden": "" if synthetic else "hidden",
        "version": html.escape(__version__),
    }
    # One pass: inserted text is not searched for slots.
    return _SLOT.sub(lambda match: slots[match[1]], _asset("index.html"))


def policy(style: str, *scripts: str) -> str:
    """The content security policy: these texts, and images beside the page."""
    allowed = " ".join(f"'{_source_hash(script)}'" for script in scripts)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {allowed}",
            f"style-src '{_source_hash(style)}'",
            "img-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def data_block(facts: Mapping[str, object]) -> str:
    """Facts as JSON, escaped so that no slide name can end the script element."""
    text = json.dumps(facts, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _asset(name: str) -> str:
    return files("inkdot.review").joinpath("assets", *name.split("/")).read_text(encoding="utf-8")


def _source_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")

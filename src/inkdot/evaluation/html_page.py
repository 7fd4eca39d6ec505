"""Pages of one file, from a template: nothing is loaded from elsewhere, everything from outside is escaped."""

import base64
import hashlib

import jinja2


def html_page(template: str, title: str, **values: object) -> str:
    """A page.

    Images are ``data:`` addresses, so nothing in them can run. The content security policy allows them and the page's own
    style, and nothing else.

    Args:
        template: Its name in ``assets``; it includes ``head.html``.
        title: Title of the page.
        values: What the template shows.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("inkdot.evaluation", "assets"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    style = environment.get_template("report.css").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return environment.get_template(template).render(title=title, policy=policy, **values)


def data_uri(kind: str, content: bytes) -> str:
    """The address of an image that is part of the page; ``kind`` such as ``jpeg``."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"

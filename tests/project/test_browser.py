from pathlib import Path

import pytest


@pytest.mark.browser
def test_a_page_opens_from_disk_without_a_network(tmp_path: Path, offline_page) -> None:
    path = tmp_path / "page with spaces.html"
    path.write_text(
        "<!doctype html><title>x</title><script>document.title = String(6 * 7)</script>", encoding="utf-8"
    )
    offline_page.goto(path.as_uri())
    assert offline_page.title() == "42"

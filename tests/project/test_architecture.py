"""The architecture diagram shows the code as it is."""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "scripts"))

import architecture_diagram  # noqa: E402


def test_the_committed_diagram_is_that_of_the_code() -> None:
    committed = architecture_diagram.OUT.read_text(encoding="utf-8")
    assert committed == architecture_diagram.drawing(), "run: python scripts/architecture_diagram.py"


def test_an_import_that_follows_from_others_is_not_drawn() -> None:
    assert architecture_diagram.reduced({("a", "b"), ("b", "c"), ("a", "c")}) == [("a", "b"), ("b", "c")]

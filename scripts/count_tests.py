"""Add up test runs: `count_tests.py RESULT.xml...` prints 'N passed, N failed, N skipped'."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def counts(paths: list[Path]) -> dict[str, int]:
    """Count the outcomes in JUnit files; an error counts as a failure."""
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for path in paths:
        # The file was written by our own test run a minute ago.
        for suite in ElementTree.parse(path).getroot().iter("testsuite"):  # noqa: S314
            failed = int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
            skipped = int(suite.get("skipped", "0"))
            total["failed"] += failed
            total["skipped"] += skipped
            total["passed"] += int(suite.get("tests", "0")) - failed - skipped
    return total


def main() -> int:
    """Print one line; the exit status is 1 when a test failed or none passed."""
    total = counts([Path(argument) for argument in sys.argv[1:]])
    print(", ".join(f"{number} {outcome}" for outcome, number in total.items()))
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())

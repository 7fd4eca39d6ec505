"""Fuzzer: changes files of every kind at random, and finds what is not answered by a result or by one clear line.

    python scripts/fuzz --cases 200 --seed 1
    python scripts/fuzz --only svs --seed 1 --case 17      # one case again

Needs Linux: limits are those of a process, and memory is read from /proc. Exit status 1 where something was found.
"""

import argparse
import faulthandler
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from corpus import make_corpus
from judge import Outcome, run_case
from kinds import KINDS, sound


def main() -> int:
    """Run the cases; 1 where one was a finding."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=200, help="number of cases, spread over the kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", choices=list(KINDS), metavar="KIND", help="; ".join(KINDS))
    parser.add_argument("--case", type=int, help="run this case of one kind alone")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no case after this time")
    parser.add_argument(
        "--corpus", type=Path, help="folder for the sound files; made where missing, then used again"
    )
    parser.add_argument("--keep", type=Path, help="folder for files of findings")
    parser.add_argument(
        "--show-silent", action="store_true", help="list slides with other pixels and no warning too"
    )
    options = parser.parse_args()
    names = options.only or list(KINDS)
    if options.case is not None and len(names) != 1:
        parser.error("--case needs one --only KIND")
    with tempfile.TemporaryDirectory(prefix="inkdot-corpus-") as folder:
        corpus = options.corpus or Path(folder)
        make_corpus(corpus)
        return _run(names, corpus.absolute(), options)


def _run(names: list[str], corpus: Path, options: argparse.Namespace) -> int:
    faulthandler.disable()
    known = {name: sound(KINDS[name], corpus) for name in names}
    counts: Counter[tuple[str, str]] = Counter()
    findings, began = 0, time.monotonic()
    for name, case in _cases(names, options):
        if time.monotonic() - began > options.seconds:
            break
        seed = f"{options.seed}:{name}:{case}"
        outcome = run_case(KINDS[name], corpus, seed, known[name], options.keep)
        counts[name, outcome.word] += 1
        findings += outcome.is_finding
        shown = (
            outcome.is_finding
            or options.case is not None
            or (options.show_silent and outcome.word == "silent")
        )
        if shown:
            print(
                f"{_title(outcome)} --only {name} --seed {options.seed} --case {case}: {outcome.detail}",
                flush=True,
            )
    for name in names:
        print(
            f"{name}: {', '.join(f'{counts[name, word]} {word}' for own, word in sorted(counts) if own == name)}"
        )
    total = Counter[str]()
    for (_, word), count in counts.items():
        total[word] += count
    told = ", ".join(f"{count} {word}" for word, count in total.most_common())
    print(f"{total.total()} cases in {time.monotonic() - began:.0f} s: {findings} findings ({told})")
    return 1 if findings else 0


def _cases(names: list[str], options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    if options.case is not None:
        yield names[0], options.case
        return
    for number in range(options.cases):
        yield names[number % len(names)], number // len(names)


def _title(outcome: Outcome) -> str:
    return f"FINDING {outcome.word}" if outcome.is_finding else outcome.word


if __name__ == "__main__":
    sys.exit(main())

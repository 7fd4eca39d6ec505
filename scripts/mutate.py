"""Mutation test of the metrics and the call rules: change one thing in a module and see whether its own tests notice.

    python scripts/mutate.py                        # a sample of each module below, 40 at most
    python scripts/mutate.py metrics/curves --most 0  # all mutants of one module

Changed are comparisons, arithmetic, signs, `and`/`or`, numbers, truth values, returned values and optional arguments; not text,
annotations or assertions. Each mutant lives in a fork of this process, never in a file. Survivors are listed by line.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import argparse
import ast
import copy
import importlib
import os
import random
import resource
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

ROOT = Path(__file__).parent.parent
SOURCE, TESTS = ROOT / "src" / "inkdot", ROOT / "tests"
PRELOADED = (
    "numpy scipy.stats sklearn.metrics pyarrow.parquet pydantic torch torchvision timm lightning.fabric matplotlib.pyplot "
    "albumentations h5py hypothesis"
)
METRICS = (
    "decision/abstention decision/calls decision/guarantees decision/thresholds slides/cellularity slides/froc slides/pooling "
    "slides/slide_level slides/slide_score slides/subgroups calibration recalibration reliability intervals/delong "
    "intervals/confidence_intervals intervals/paired_bootstrap classification curves decision_curve predictive_values "
    "sample_size agreement ood_distance"
)
"""Modules of inkdot.metrics; their tests are tests/metrics/test_NAME.py and tests/metrics/test_against_scikit_learn.py."""

CALLS = {
    "pipeline/results/slide_prediction": ["pipeline/test_slide_prediction.py"],
    "storage/tables/scores": ["pipeline/test_slide_prediction.py", "storage/test_scores.py"],
    "training/release/calibrate": ["training/test_calibrate.py"],
    "training/release/abstention_band": ["training/test_abstention_band.py", "training/test_calibrate.py"],
    "datasets/class_weights": ["datasets/test_class_weights.py"],
}
SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.Div, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.MatMult: ast.Mult,
}  # fmt: skip


class Mutated(SourceFileLoader):
    """Loads a changed tree in place of a module's file."""

    tree: ast.Module

    def get_code(self, fullname: str) -> Any:
        return compile(ast.fix_missing_locations(self.tree), self.path, "exec")


class Finder:
    """Finds the mutant where its module is imported."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.name, self.tree = name, tree

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == self.name else None
        if spec is not None and spec.origin:
            loader = Mutated(name, spec.origin)
            loader.tree = self.tree
            spec.loader = loader
        return spec


def sites(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run, without annotations, decorators and assertions."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_comment", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.Assert):
                yield from sites(child)


def changes(node: Any) -> Iterator[tuple[str, Any]]:
    """(field, new value) of each mutant at a node."""
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            yield "ops", [*node.ops[:i], SWAPS[type(op)](), *node.ops[i + 1 :]]
    elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in SWAPS:
        yield "op", SWAPS[type(node.op)]()
    elif isinstance(node, ast.UnaryOp):
        yield "operand", ast.UnaryOp(node.op, node.operand)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "value", not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield "value", node.value + 1
    elif isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) != "None":
        yield "value", ast.Constant(None)
    elif isinstance(node, ast.Call):
        for i, keyword in enumerate(node.keywords):
            if keyword.arg not in (None, "strict", "kind"):
                yield "keywords", node.keywords[:i] + node.keywords[i + 1 :]
        if len(node.args) > 2:
            yield "args", node.args[:-1]


def mutants(path: Path) -> list[tuple[str, ast.Module]]:
    """(line with the change, changed tree) of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lines: list[tuple[str, ast.Module]] = []
    for index, node in enumerate(sites(tree)):
        for field, value in changes(node):
            changed = copy.deepcopy(tree)
            own: Any = next(other for at, other in enumerate(sites(changed)) if at == index)
            before = ast.unparse(own)
            setattr(own, field, value)
            ast.fix_missing_locations(changed)
            after = ast.unparse(own)
            first = next((at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
            start = max(0, first - 40)
            lines.append(
                (f"{own.lineno}: {before[start : start + 90]!r} -> {after[start : start + 90]!r}", changed)
            )
    return lines


def survives(module: str, tree: ast.Module, tests: list[str], seconds: int) -> bool:
    """Whether the tests pass on a mutant; one that takes too long is killed."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    with open(os.devnull, "w") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    sys.meta_path.insert(0, Finder("inkdot." + module.replace("/", "."), tree))  # pyright: ignore[reportArgumentType]
    quiet = (
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    )
    options = [*quiet, "-m", "not slow and not real_data"]
    os._exit(int(pytest.main([*options, *tests])))


def main() -> int:
    """Print killed / total with the Clopper-Pearson interval of each module, and its survivors."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "modules", nargs="*", help="path below src/inkdot without .py; all of the list where none"
    )
    parser.add_argument("--most", type=int, default=40, help="mutants drawn of each module; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=120, help="processor time that a mutant may take")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    for name in PRELOADED.split():
        importlib.import_module(name)
    shared = ["metrics/test_against_scikit_learn.py", "pipeline/test_slide_prediction.py"]
    listed = {f"metrics/{name}": [f"metrics/test_{Path(name).name}.py"] for name in METRICS.split()} | CALLS
    listed |= {
        f"metrics/{name}": [*listed[f"metrics/{name}"], shared[0]]
        for name in ("classification", "curves", "agreement")
    }
    listed["metrics/decision/calls"] = [shared[1]]
    killed = total = 0
    for module in arguments.modules or listed:
        tests = [str(TESTS / name) for name in listed[module] if (TESTS / name).exists()]
        path = SOURCE / f"{module}.py"
        if not tests or not survives(module, ast.parse(path.read_text(encoding="utf-8")), tests, 600):
            print(
                f"{module}: expected passing tests of the unchanged module, found none; see {listed[module]}"
            )
            return 1
        every = mutants(path)
        drawn = (
            every
            if not arguments.most
            else random.Random(arguments.seed).sample(every, min(arguments.most, len(every)))
        )
        left = [line for line, tree in drawn if survives(module, tree, tests, arguments.seconds)]
        report(module, len(drawn) - len(left), len(drawn), f"of {len(every)} mutants")
        print(*(f"    {line}" for line in left), sep="\n", flush=True)
        killed, total = killed + len(drawn) - len(left), total + len(drawn)
    report("all", killed, total, "")
    return 0


def report(name: str, killed: int, total: int, note: str) -> None:
    """One line with a 95 % interval."""
    low, high = binomtest(killed, max(total, 1)).proportion_ci(0.95, "exact")
    print(
        f"{name}: {killed}/{total} killed ({killed / max(total, 1):.0%}, 95 % CI {low:.0%} to {high:.0%}) {note}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())

"""`import inkdot` is quick, loads no numerical or network library, and offers the names of its stub."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import inkdot

HEAVY = {
    "torch",
    "pandas",
    "pyarrow",
    "cv2",
    "numpy",
    "scipy",
    "PIL",
    "timm",
    "lightning",
    "openvino",
    "matplotlib",
}


def modules_after(code: str) -> tuple[set[str], float]:
    """Modules in a fresh interpreter after some code, and how many seconds the code took."""
    program = f"""
import json, sys, time
started = time.perf_counter()
{code}
print(json.dumps([time.perf_counter() - started, sorted(sys.modules)]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    seconds, names = json.loads(done.stdout)
    return set(names), seconds


def test_importing_takes_under_half_a_second_and_loads_no_library() -> None:
    names, seconds = modules_after("import inkdot; inkdot.__version__; dir(inkdot)")
    assert not HEAVY & names
    assert seconds < 0.5


def test_opening_a_slide_loads_neither_torch_nor_pandas(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    from PIL import Image

    Image.new("RGB", (64, 48), "white").save(path)
    names, _ = modules_after(
        f"import inkdot; inkdot.open_slide({str(path)!r}, mpp=0.5).read_region(0, 0, 8, 8)"
    )
    assert not {"torch", "pandas", "scipy", "timm", "lightning"} & names


def public_names() -> set[str]:
    stub = Path(inkdot.__file__).with_name("__init__.pyi")
    names: set[str] = set()
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def test_every_name_of_the_stub_can_be_imported_and_is_documented() -> None:
    for name in public_names():
        documentation = getattr(inkdot, name).__doc__
        assert documentation, name
        assert name in dir(inkdot)


def test_the_stub_lists_every_lazy_name() -> None:
    lazy = {name for name in dir(inkdot) if not name.startswith("_") and name in public_names()}
    assert lazy == public_names()
    assert set(inkdot._MODULE_OF) | {"plot"} == public_names()  # pyright: ignore[reportAttributeAccessIssue]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'open_slides'"):
        _ = inkdot.open_slides  # pyright: ignore[reportAttributeAccessIssue]

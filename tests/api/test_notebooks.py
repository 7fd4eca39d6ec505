"""The notebooks run from start to end, and their stored outputs tell nothing of the machine that made them.

`jupyter execute --inplace docs/tutorials/first-slide.ipynb` stores new outputs.
"""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = ("first-slide.ipynb", "train-on-images.ipynb")
SMALL = {
    "first-slide.ipynb": "SPOT_MM = 0.4",
    "train-on-images.ipynb": "SLIDES = 12\nEPOCHS = 1",
}
ABSOLUTE_PATH = re.compile(r"(?<![\w.<])/(home|root|tmp|work|Users|private|var|mnt)/|[A-Z]:\\\\")
LARGEST_BYTES = 1_500_000


def read(repository: Path, name: str) -> nbformat.NotebookNode:
    return nbformat.read(repository / "docs" / "tutorials" / name, as_version=4)


def outputs_as_text(notebook: nbformat.NotebookNode) -> str:
    """All stored outputs but the images."""
    texts: list[str] = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            texts.append(str(output.get("text", "")))
            texts += [
                str(value) for kind, value in output.get("data", {}).items() if not kind.startswith("image/")
            ]
    return re.sub(r"base64,[\w+/=]+", "", "\n".join(texts))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_stored_outputs_are_complete_small_and_free_of_paths(repository: Path, name: str) -> None:
    notebook = read(repository, name)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert not [o for cell in code for o in cell.outputs if o.output_type == "error"]
    assert sum("image/png" in o.get("data", {}) for cell in code for o in cell.outputs) >= 3
    assert (repository / "docs" / "tutorials" / name).stat().st_size < LARGEST_BYTES
    assert not ABSOLUTE_PATH.search(outputs_as_text(notebook))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_first_cell_states_synthetic_data_and_research_use(repository: Path, name: str) -> None:
    first = read(repository, name).cells[0].source
    assert "Everything here is synthetic" in first
    assert "For Research Use Only. Not for use in diagnostic procedures." in first


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the kernel's local sockets are not encrypted
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_start_to_end(repository: Path, name: str) -> None:
    notebook = read(repository, name)
    (parameters,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    parameters.source = SMALL[name]
    folder = str(repository / "docs" / "tutorials")
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    assert not ABSOLUTE_PATH.search(outputs_as_text(notebook))

"""``inkdot model verify``: check that the files of a model match, and that each runtime gives the scores of its weights."""

from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from rich.console import Console
from rich.text import Text

from inkdot.errors import StorageError
from inkdot.labels import score_columns
from inkdot.model.export import synthetic_tiles
from inkdot.model.model_folder import load_model
from inkdot.model.predictor import Predictor, ScoreArray, is_cpu
from inkdot.model.runtimes.network_cache import CACHE_VARIABLE, user_cache
from inkdot.model.runtimes.openvino_backend import openvino_installed
from inkdot.model.runtimes.precision import BOUND
from inkdot.records import RgbArray
from inkdot.storage.layout import ModelLayout
from inkdot.storage.models.model_files import ModelFile, model_sha256, read_model_file


class _Runtime(NamedTuple):
    """Where a network runs: a runtime, and a device of PyTorch."""

    name: Literal["torch", "openvino"]
    device: str

    @property
    def words(self) -> str:
        return f"{self.name} on the {'CPU' if self.device == 'cpu' else 'GPU'}"


_REFERENCE: Final = _Runtime("torch", "cpu")


def run(model: Path) -> int:
    """Check hashes, names and shapes, and score synthetic tiles in every runtime of this machine.

    PyTorch on the CPU loads the weights themselves, whose hash is in model.json, and is the reference. The others are asked
    in the way in which ``inkdot predict`` asks them, with the converted network that is kept for it.

    Args:
        model: A model folder.

    Returns:
        0; a fault raises.

    Raises:
        StorageError: A file is missing or damaged, the files do not match, or a runtime gives other scores.
    """
    description = read_model_file(model)
    layout = ModelLayout(model)
    folders = [layout.member(index) for index in range(len(description.members))] or [model]
    networks = [load_model(folder)[1] for folder in folders]
    tiles = list(synthetic_tiles(description.tiling.side_px).permute(0, 2, 3, 1).numpy())
    checked = _compared(model, description, tiles)
    tensors = [tensor for network in networks for tensor in network.state_dict().values()]
    parameters = sum(tensor.numel() for tensor in tensors)
    members = f" in {len(networks)} members" if description.members else ""
    console = Console()
    lines = (
        f"{model}: valid: the weights match model.json, {len(tensors)} tensors with {parameters:,} parameters{members} fit "
        f"{description.backbone}, and a tile of {description.tiling.side_px} px gives a score for each class; model "
        f"{model_sha256(model)}, as in results and reports",
        *checked,
        *_cache_lines(),
    )
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    return 0


def _compared(model: Path, description: ModelFile, tiles: list[RgbArray]) -> list[str]:
    """One line for each runtime, on how far its scores are from the reference."""
    expected = _scores(model, description, _REFERENCE, tiles)
    others = [_Runtime("openvino", "cpu")] if openvino_installed() else []
    others += [] if is_cpu("auto") else [_Runtime("torch", "auto")]
    lines: list[str] = []
    for runtime in others:
        apart = float(np.abs(_scores(model, description, runtime, tiles) - expected).max())
        bound = BOUND[description.precision]
        if apart > bound:
            raise StorageError(
                f"{model}: {runtime.words}: expected scores within {bound:g} of those of the weights in PyTorch, "
                f"found {apart:.3g} away; {_remedy(runtime)}"
            )
        lines.append(
            f"{runtime.words}: scores of {len(tiles)} tiles within {apart:.2g} of those of the weights in PyTorch "
            f"(allowed: {bound:g})"
        )
    return lines


def _remedy(runtime: _Runtime) -> str:
    folder = user_cache().folder
    if runtime.name == "openvino" and folder is not None:
        return f"delete the converted networks in {folder}, or score with `inkdot predict --runtime torch`"
    if runtime.name == "openvino":
        return "score with `inkdot predict --runtime torch`"
    return "score on the CPU: set CUDA_VISIBLE_DEVICES to nothing"


def _scores(model: Path, description: ModelFile, runtime: _Runtime, tiles: list[RgbArray]) -> ScoreArray:
    scores = Predictor(model, device=runtime.device, runtime=runtime.name).predict_proba(tiles)
    columns = score_columns(description.head_records)
    if scores.shape[1] != len(columns) or not np.isfinite(scores).all():
        raise StorageError(
            f"{model}: {runtime.words}: expected a finite score for each of {', '.join(columns)}, found others; train again, or "
            "copy the whole model folder again"
        )
    return scores


def _cache_lines() -> list[str]:
    """Where converted networks are kept, or why they are not."""
    if not openvino_installed():
        return []
    cache = user_cache()
    if cache.folder is None:
        return [f"converted networks are not kept, and made anew by each command: {cache.reason}"]
    return [f"converted networks are kept in {cache.folder} ({CACHE_VARIABLE} names another folder)"]

"""``inkdot model verify``: check that the files of a model match, and that each runtime gives the reference scores."""

from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from rich.console import Console
from rich.text import Text

from inkdot.errors import StorageError
from inkdot.labels import score_columns
from inkdot.model.model_folder import load_model
from inkdot.model.predictor import Predictor, is_cpu
from inkdot.model.reference_scores import (
    REFERENCE_BOUND,
    REFERENCE_TILES,
    check_reference_scores,
    logits_of,
    reference_logits,
    reference_tiles,
    remedy,
    score_difference,
)
from inkdot.model.runtimes.network_cache import CACHE_VARIABLE, user_cache
from inkdot.model.runtimes.openvino_backend import openvino_installed
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
    """Check hashes, names and shapes, and score fixed tiles in every runtime of this machine.

    PyTorch on the CPU loads the weights themselves, whose hash is in model.json, and must give the reference scores that were
    written when the model was made. The others are asked in the way in which ``inkdot predict`` asks them, with the converted
    network that is kept for it.

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
    _require_scores(model, description)
    checked = [line for folder in folders for line in _compared(folder)]
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


def _compared(folder: Path) -> list[str]:
    """One line for each runtime of a network, on how far its scores are from the reference."""
    description, reference = read_model_file(folder), Predictor(folder, device="cpu", runtime="torch").network
    classes = sum(len(head.classes) for head in description.heads)
    weights = logits_of(reference, description.tiling.side_px, classes)
    bound = REFERENCE_BOUND[description.precision]
    lines: list[str] = []
    stated = reference_logits(description)
    made_with = description.reference_scores.made_with if description.reference_scores else ""
    if stated is None:
        lines.append(
            "no reference scores in this model folder (made before inkdot.model/5): runtimes are compared with the weights in "
            "PyTorch, and whether PyTorch and timm compute as in training is not known"
        )
    else:
        apart = check_reference_scores(folder, description, reference, _REFERENCE.words)
        lines.append(_line(_REFERENCE, description, apart, f"the reference scores ({made_with})"))
    others = [_Runtime("openvino", "cpu")] if openvino_installed() else []
    others += [] if is_cpu("auto") else [_Runtime("torch", "auto")]
    for runtime in others:
        # Its network is loaded as `inkdot predict` does, which compares with the reference scores.
        network = Predictor(folder, device=runtime.device, runtime=runtime.name).network
        found = logits_of(network, description.tiling.side_px, classes)
        apart = score_difference(description, found, weights)
        if not apart <= bound:
            raise StorageError(
                f"{folder}: {runtime.words}: expected scores within {bound:g} of those of the weights in PyTorch, "
                f"found {apart:.3g} away; {remedy(runtime.words)}"
            )
        lines.append(_line(runtime, description, apart, "those of the weights in PyTorch"))
    return lines


def _line(runtime: _Runtime, description: ModelFile, apart: float | None, of: str) -> str:
    bound = REFERENCE_BOUND[description.precision]
    median = " in the median" if description.precision == "bfloat16" else ""
    return f"{runtime.words}: scores of {REFERENCE_TILES} tiles within {apart or 0.0:.2g}{median} of {of} (allowed: {bound:g})"


def _require_scores(model: Path, description: ModelFile) -> None:
    """Refuse a model whose tiles get no finite score for each class."""
    tiles = reference_tiles(description.tiling.side_px)
    scores = Predictor(model, device="cpu", runtime="torch").predict_proba(tiles)
    columns = score_columns(description.head_records)
    if scores.shape[1] != len(columns) or not np.isfinite(scores).all():
        raise StorageError(
            f"{model}: {_REFERENCE.words}: expected a finite score for each of {', '.join(columns)}, found others; train again, "
            "or copy the whole model folder again"
        )


def _cache_lines() -> list[str]:
    """Where converted networks are kept, or why they are not."""
    if not openvino_installed():
        return []
    cache = user_cache()
    if cache.folder is None:
        return [f"converted networks are not kept, and made anew by each command: {cache.reason}"]
    return [f"converted networks are kept in {cache.folder} ({CACHE_VARIABLE} names another folder)"]

"""``inkdot model verify``: check that the files of a model match, and that it scores a tile."""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.text import Text

from inkdot.errors import StorageError
from inkdot.labels import score_columns
from inkdot.model.export import synthetic_tiles
from inkdot.model.model_folder import load_model
from inkdot.model.predictor import Predictor
from inkdot.storage.layout import ModelLayout
from inkdot.storage.models.model_files import model_sha256, read_model_file


def run(model: Path) -> int:
    """Check hashes, names and shapes, and score synthetic tiles.

    Args:
        model: A model folder.

    Returns:
        0; a fault raises.

    Raises:
        StorageError: A file is missing or damaged, or the files do not match.
    """
    description = read_model_file(model)
    layout = ModelLayout(model)
    folders = [layout.member(index) for index in range(len(description.members))] or [model]
    networks = [load_model(folder)[1] for folder in folders]
    tiles = synthetic_tiles(description.tiling.side_px)
    scores = Predictor(model, device="cpu", runtime="torch").predict_proba(
        list(tiles.permute(0, 2, 3, 1).numpy())
    )
    if scores.shape[1] != len(score_columns(description.head_records)) or not np.isfinite(scores).all():
        raise StorageError(
            f"{model}: expected a finite score for each of {', '.join(score_columns(description.head_records))}, found others; "
            "train again, or copy the whole model folder again"
        )
    tensors = [tensor for network in networks for tensor in network.state_dict().values()]
    parameters = sum(tensor.numel() for tensor in tensors)
    members = f" in {len(networks)} members" if description.members else ""
    Console().print(
        Text(
            f"{model}: valid: the weights match model.json, {len(tensors)} tensors with {parameters:,} parameters{members} fit "
            f"{description.backbone}, and a tile of {description.tiling.side_px} px gives a score for each class; model "
            f"{model_sha256(model)}, as in results and reports"
        ),
        soft_wrap=True,
    )
    return 0

"""``inkdot model verify``: do the files of a model belong together, and does the network take a tile?"""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.text import Text

from inkdot.errors import StorageError
from inkdot.labels import score_columns
from inkdot.model.export import checking_tiles
from inkdot.model.model_folder import load_model
from inkdot.model.predictor import Predictor
from inkdot.storage.model_files import model_sha256


def run(model: Path) -> int:
    """Check hashes, names and shapes, and score tiles made for the purpose.

    Args:
        model: A model folder.

    Returns:
        0 when all is well.

    Raises:
        StorageError: It is not; the message says what is wrong.
    """
    description, network = load_model(model)
    tiles = checking_tiles(description.tiling.side_px)
    scores = Predictor(model, device="cpu", runtime="torch").score(list(tiles.permute(0, 2, 3, 1).numpy()))
    if scores.shape[1] != len(score_columns(description.head_records)) or not np.isfinite(scores).all():
        raise StorageError(
            f"{model}: expected a finite score for each of {', '.join(score_columns(description.head_records))}, found others; "
            "train again, or copy the whole model folder again"
        )
    tensors = network.state_dict()
    parameters = sum(tensor.numel() for tensor in tensors.values())
    Console().print(
        Text(
            f"{model}: good: the weights are those that model.json describes, {len(tensors)} tensors with {parameters:,} "
            f"numbers fit {description.backbone}, and a tile of {description.tiling.side_px} px gives a score for each class; "
            f"model {model_sha256(model)}, which results and reports name too"
        ),
        soft_wrap=True,
    )
    return 0

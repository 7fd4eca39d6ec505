"""What the network of a model gives for fixed tiles: written where it is trained, compared where it runs in another form.

A converted network is another program than the one that was tested, and so is a later version of PyTorch or timm. Needs NumPy
alone, since OpenVINO runs without PyTorch (docs/explanation/decisions/0271).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from inkdot.errors import StorageError
from inkdot.model.calibrated_scores import calibrated_scores
from inkdot.model.finite import check_finite
from inkdot.model.runtimes.batches import Inferred, LogitArray
from inkdot.model.runtimes.network_cache import user_cache
from inkdot.records import RgbArray
from inkdot.storage.models.model_files import ModelFile, Precision

REFERENCE_BOUND: Final[dict[Precision, float]] = {"float32": 1e-3, "bfloat16": 0.05}
"""Largest accepted difference, see :func:`score_difference`. Measured in bfloat16 with the demo network: 0.005; 0.17 with its
pixel means shifted by a tenth, 0.43 with its weights permuted."""

REFERENCE_TILES: Final = 12
"""Number of the fixed tiles."""

_SEED: Final = 20240229
_BLOB_PX: Final = 8


class _Network(Protocol):
    """A network ready to run, as of :class:`inkdot.model.predictor.Backend`."""

    def infer(self, tiles: Iterable[RgbArray]) -> Iterator[Inferred]: ...


def reference_tiles(side_px: int) -> list[RgbArray]:
    """The fixed tiles ``blobs/1``: tints from dark to bright, with blotches of increasing contrast.

    Made of whole numbers from NumPy's legacy generator, whose numbers never change (NEP 19): the same bytes on every machine.

    Args:
        side_px: Side of the tiles.

    Returns:
        12 tiles, uint8 RGB [side, side, 3] each.
    """
    random = np.random.RandomState(_SEED)
    tints = random.randint(20, 250, (REFERENCE_TILES, 1, 1, 3), dtype=np.int64)
    cells = -(-side_px // _BLOB_PX)
    blobs = random.randint(-100, 101, (REFERENCE_TILES, cells, cells, 3), dtype=np.int64)
    grain = random.randint(-6, 7, (REFERENCE_TILES, side_px, side_px, 3), dtype=np.int64)
    coarse = blobs.repeat(_BLOB_PX, axis=1).repeat(_BLOB_PX, axis=2)[:, :side_px, :side_px]
    contrast = np.arange(2, 2 + 8 * REFERENCE_TILES, 8).reshape(-1, 1, 1, 1)
    return list(np.clip(tints + contrast * coarse // 60 + grain, 0, 255).astype(np.uint8))


def reference_logits(description: ModelFile) -> LogitArray | None:
    """The logits of the classes that the model folder states, float32 [12, classes]; None where it states none.

    Raises:
        StorageError: Their number is not that of the tiles and classes.
    """
    if description.reference_scores is None:
        return None
    classes = sum(len(head.classes) for head in description.heads)
    rows = description.reference_scores.logits
    if len(rows) != REFERENCE_TILES or any(len(row) != classes for row in rows):
        raise StorageError(
            f"model.json: expected reference_scores of {REFERENCE_TILES} tiles with {classes} logits each, found others; "
            "copy the whole model folder again"
        )
    return np.array(rows, np.float32)


def logits_of(network: _Network, side_px: int, classes: int) -> LogitArray:
    """Logits of the fixed tiles, without those of attention, float32 [12, classes]."""
    batches = [batch.logits[:, :classes] for batch in network.infer(reference_tiles(side_px))]
    return np.concatenate(batches).astype(np.float32)


def check_reference_scores(
    folder: Path, description: ModelFile, network: _Network, place: str
) -> float | None:
    """Compare a network with the reference scores of its model folder.

    Args:
        folder: The model folder.
        description: Its description, of one network.
        network: The network that runs.
        place: Runtime and device, such as ``openvino on the CPU``, for the message.

    Returns:
        The difference, see :func:`score_difference`; None where the folder has no reference scores.

    Raises:
        NonFiniteError: A logit is NaN or infinite.
        StorageError: The scores differ by more than :data:`REFERENCE_BOUND` allows.
    """
    expected = reference_logits(description)
    if expected is None:
        return None
    found = logits_of(network, description.tiling.side_px, expected.shape[1])
    check_finite(found, str(folder))
    apart = score_difference(description, found, expected)
    bound = REFERENCE_BOUND[description.precision]
    if apart > bound:
        made_with = description.reference_scores.made_with if description.reference_scores else ""
        raise StorageError(
            f"{folder}: {place}: expected scores within {bound:g} of the reference scores of the model folder, found {apart:.3g} "
            f"away; {remedy(place, made_with)}"
        )
    return apart


def score_difference(description: ModelFile, found: LogitArray, expected: LogitArray) -> float:
    """How far two sets of logits of the fixed tiles are apart as calibrated scores, 0 to 1.

    In float32 the largest difference of a score. In bfloat16 the median over the tiles of each tile's largest: on one tile of
    twelve, which is unlike any slide, the demo network differed by 0.79, though by 0.005 in the median.
    """
    heads, temperatures = description.head_records, description.temperatures
    scores = [calibrated_scores(logits, heads, temperatures) for logits in (found, expected)]
    of_tiles = np.abs(scores[0] - scores[1]).max(axis=1)
    return float(np.median(of_tiles) if description.precision == "bfloat16" else of_tiles.max())


def remedy(place: str, made_with: str = "") -> str:
    """What to do where scores differ, for the end of a message.

    Args:
        place: Runtime and device, such as ``openvino on the CPU``.
        made_with: Versions that the reference scores were computed with.
    """
    if place.startswith("openvino"):
        kept = user_cache().folder
        return (
            f"delete the converted networks in {kept}, or score with `inkdot predict --runtime torch`"
            if kept
            else "score with `inkdot predict --runtime torch`"
        )
    if place.endswith("GPU"):
        return "score on the CPU: set CUDA_VISIBLE_DEVICES to nothing"
    return f"install the versions that it was made with ({made_with}), or train again"

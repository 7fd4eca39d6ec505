"""``inkdot model export``: a model in the format of another program, checked before it is written."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.text import Text

from inkdot.errors import SyntheticModelError, UserError
from inkdot.labels import score_columns
from inkdot.model.export import (
    BOUND,
    Format,
    export_facts,
    export_files,
    export_score_columns,
    export_scores,
    synthetic_tiles,
)
from inkdot.model.model_folder import load_model
from inkdot.model.predictor import Predictor
from inkdot.storage.atomic import write_bytes, write_text
from inkdot.storage.layout import ModelLayout
from inkdot.storage.locking import locked
from inkdot.storage.models.ensemble_files import single_model_only
from inkdot.storage.models.model_files import ModelFile, model_sha256, read_model_file
from inkdot.storage.output_layouts import ExportLayout


def run(model: Path, format_: Format, out: Path, *, allow_synthetic_model: bool = False) -> int:
    """Write a model in another format, with ``inkdot.json`` and the model card beside it.

    Args:
        model: A model folder.
        format_: onnx, openvino or wsinfer.
        out: Folder for the files; those of an earlier export are replaced.
        allow_synthetic_model: Export a model trained on synthetic specimens; the files state it.

    Returns:
        0 when the exported model gives our scores on synthetic tiles.

    Raises:
        UserError: The model cannot be exported to the format, or gives other scores there; nothing is written.
        NonFiniteError: Its weights are finite, but its scores are not.
        SyntheticModelError: The model was trained on synthetic specimens.
    """
    single_model_only(model, read_model_file(model).members, "model export")
    description, network = load_model(model)
    _check_exportable(model, description, allow_synthetic_model)
    layout = ExportLayout(out)
    with locked(layout.lock), TemporaryDirectory(prefix="inkdot-export-") as scratch:
        files = export_files(format_, Path(scratch), description, network)
        largest = largest_difference(format_, Path(scratch), model, description)
        facts = export_facts(format_, description, model_sha256(model))
        _write(files, layout, facts | {"check": _check_facts(largest)}, ModelLayout(model).card)
    console = Console(stderr=True)
    console.print(
        Text(
            f"{out}: {', '.join(sorted(files))}; scores agree with those of Inkdot within {largest:.1g} on synthetic tiles"
        ),
        soft_wrap=True,
    )
    if description.attention is not None:
        console.print(
            Text(
                f"scores of tiles only: a slide's score ({description.attention.aggregator}) is not exported, take it from "
                "`inkdot predict`"
            ),
            soft_wrap=True,
        )
    if description.trained_on.synthetic:
        console.print(Text("synthetic model: its scores mean nothing on real cells"), soft_wrap=True)
    return 0


def _check_exportable(model: Path, description: ModelFile, allow_synthetic_model: bool) -> None:
    if description.trained_on.synthetic and not allow_synthetic_model:
        raise SyntheticModelError(
            f"{model}: expected a model of real specimens, found one trained on synthetic ones, and other programs do not refuse "
            "real slides with it; pass --allow-synthetic-model to export it all the same (the files then state it)"
        )
    if not description.mpp_known:
        raise UserError(
            f"{model}: expected a model of known scale, found one trained on images without micrometres per pixel, for "
            "which no program can cut tiles; train on images of known scale"
        )


def largest_difference(format_: Format, folder: Path, model: Path, description: ModelFile) -> float:
    """The largest difference between scores of an exported model and ours in PyTorch, on synthetic tiles.

    Args:
        format_: The format.
        folder: Folder with the exported files.
        model: The model folder.
        description: Its description.

    Raises:
        UserError: It exceeds :data:`inkdot.model.export.BOUND`.
    """
    tiles = synthetic_tiles(description.tiling.side_px)
    ours = Predictor(model, device="cpu", runtime="torch").predict_proba(
        list(tiles.permute(0, 2, 3, 1).numpy())
    )
    columns = score_columns(description.head_records)
    ours = ours[:, [columns.index(name) for name in export_score_columns(format_, description)]]
    theirs = export_scores(format_, folder, description, tiles)
    largest = float(np.abs(ours - theirs).max()) if ours.shape == theirs.shape else float("inf")
    if not largest <= BOUND:
        raise UserError(
            f"{model}: expected scores of the {format_} export within {BOUND:g} of ours, found a difference of {largest:.2g}; "
            "nothing was written; export to another format, and please report the backbone"
        )
    return largest


def _check_facts(largest: float) -> dict[str, object]:
    # Rounded up: the last digits differ between machines, but the same model should give the same file.
    return {"largest_difference_below": 1e-5 if largest < 1e-5 else BOUND, "bound": BOUND}


def _write(files: Mapping[str, Path], layout: ExportLayout, facts: Mapping[str, object], card: Path) -> None:
    layout.metadata.unlink(missing_ok=True)
    for name, path in sorted(files.items()):
        write_bytes(layout.file(name), path.read_bytes())
    if card.exists():
        shutil.copyfile(card, layout.card)
    # Last: it marks the export as complete.
    write_text(layout.metadata, json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False) + "\n")

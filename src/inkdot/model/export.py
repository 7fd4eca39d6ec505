"""Exporting a model to ONNX, OpenVINO and WSInfer. Exported files are run, and their scores are compared with ours."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportPrivateImportUsage=false
# torch, onnx and openvino are only partly typed.

import json
import warnings
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inkdot import __version__
from inkdot.errors import UserError
from inkdot.labels import flagging_head, score_column, score_columns
from inkdot.model.export_wrappers import FlaggingNetwork, ScoringNetwork
from inkdot.model.network import TileNetwork
from inkdot.model.reference_scores import reference_tiles
from inkdot.model.runtimes.openvino_backend import import_openvino
from inkdot.storage.models.model_files import ModelFile
from inkdot.storage.record_json import tile_spec_json

Format = Literal["onnx", "openvino", "wsinfer"]
FloatArray = npt.NDArray[np.float32]

BOUND: Final = 1e-3
"""Largest accepted difference between scores of an exported model and ours; the same as between runtimes."""

_EXAMPLE_TILES: Final = 2


def export_files(
    format_: Format, folder: Path, description: ModelFile, network: TileNetwork
) -> dict[str, Path]:
    """Write a model in another format into a temporary folder.

    Args:
        format_: onnx, openvino or wsinfer.
        folder: An empty folder.
        description: The model.
        network: Its network, on the CPU, in evaluation mode.

    Returns:
        Paths of the files by their final names.

    Raises:
        UserError: A package that the format needs is not installed.
    """
    writers: dict[Format, Callable[[Path, ModelFile, TileNetwork], dict[str, Path]]] = {
        "onnx": _write_onnx,
        "openvino": _write_openvino,
        "wsinfer": _write_wsinfer,
    }
    return writers[format_](folder, description, network)


def export_scores(format_: Format, folder: Path, description: ModelFile, tiles: Tensor) -> FloatArray:
    """Scores of an exported model, run as its users run it.

    Args:
        format_: The format.
        folder: Folder with its files.
        description: The model it was made from.
        tiles: uint8 [n, 3, side, side].

    Returns:
        float32 [n, score columns], for wsinfer those of the flagging head alone.
    """
    if format_ == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
        return cast(FloatArray, session.run(["scores"], {"tiles": tiles.numpy()})[0])
    if format_ == "openvino":
        core = import_openvino().Core()
        precise = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = core.compile_model(core.read_model(folder / "model.xml"), "CPU", precise)
        return np.array(compiled(tiles.numpy())[0], np.float32)
    with _quiet():
        module = torch.jit.load(str(folder / "torchscript_model.pt"))
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in _normalisation(description))
    with torch.inference_mode():
        return torch.softmax(module((tiles / 255.0 - mean) / std), dim=1).numpy()


def export_score_columns(format_: Format, description: ModelFile) -> list[str]:
    """Names of the score columns of an exported model, in order."""
    heads = description.head_records
    if format_ != "wsinfer":
        return score_columns(heads)
    head = flagging_head(heads)
    return [score_column(head.name, name) for name in head.classes]


def synthetic_tiles(side_px: int) -> Tensor:
    """The fixed tiles of :func:`inkdot.model.reference_scores.reference_tiles` as a batch.

    Returns:
        uint8 [n, 3, side, side].
    """
    return torch.from_numpy(np.stack(reference_tiles(side_px)).transpose(0, 3, 1, 2).copy())


def export_facts(format_: Format, description: ModelFile, model_sha256: str) -> dict[str, object]:
    """What users of an exported model need, as a JSON value, for ``inkdot.json`` beside it."""
    points = {
        name: {"class": point.class_name, "threshold": point.threshold}
        for name, point in sorted(description.operating_points.items())
    }
    return {
        "version": "inkdot.export/1",
        "inkdot": __version__,
        "format": format_,
        "use": "For Research Use Only. Not for use in diagnostic procedures.",
        "trained_on_synthetic": description.trained_on.synthetic,
        "mpp_known": description.mpp_known,
        "model_sha256": model_sha256,
        "backbone": description.backbone,
        "preparation": description.preparation,
        "stains": list(description.trained_on.stains),
        "tile_spec": tile_spec_json(description.tiling.spec),
        "input": _INPUTS[format_],
        "columns": export_score_columns(format_, description),
        "operating_points": points,
        **(
            {"slide_score_rule": description.slide_score_rule.model_dump(mode="json")}
            if description.slide_score_rule
            else {}
        ),
    }


_INPUTS: Final[dict[Format, str]] = {
    "onnx": "tiles: uint8 [n, 3, side, side], RGB 0 to 255; output scores: float32, calibrated, one column per class",
    "openvino": "tiles: uint8 [n, 3, side, side], RGB 0 to 255; output scores: float32, calibrated, one column per class",
    "wsinfer": "float [n, 3, side, side], RGB 0 to 1, normalised as config.json says; output logits: their softmax is calibrated",
}


def wsinfer_config(description: ModelFile) -> dict[str, object]:
    """``config.json`` of the WSInfer zoo, spec_version 1.0; further keys are allowed.

    WSInfer and QuPath show only the class names of a model, so the class names of a synthetic model state it.
    """
    head = flagging_head(description.head_records)
    synthetic = description.trained_on.synthetic
    mean, std = _normalisation(description)
    return {
        "spec_version": "1.0",
        "architecture": description.backbone,
        "num_classes": len(head.classes),
        "class_names": [f"{name} (synthetic model)" if synthetic else name for name in head.classes],
        "patch_size_pixels": description.tiling.side_px,
        "spacing_um_px": description.tiling.mpp,
        "transform": [
            {"name": "Resize", "arguments": {"size": description.tiling.side_px}},
            {"name": "ToTensor"},
            {"name": "Normalize", "arguments": {"mean": list(mean), "std": list(std)}},
        ],
        "trained_on_synthetic": synthetic,
        "use": "For Research Use Only. Not for use in diagnostic procedures.",
    }


def _normalisation(description: ModelFile) -> tuple[list[float], list[float]]:
    return list(description.normalisation_mean), list(description.normalisation_std)


def _write_onnx(folder: Path, description: ModelFile, network: TileNetwork) -> dict[str, Path]:
    onnx = _import("onnx")
    _import("onnxscript")
    _import("onnxruntime")
    path = folder / "model.onnx"
    tiles = synthetic_tiles(description.tiling.side_px)[:_EXAMPLE_TILES]
    with _quiet():
        torch.onnx.export(
            _scoring_network(description, network),
            (tiles,),
            path,
            input_names=["tiles"],
            output_names=["scores"],
            dynamic_shapes={"tiles": {0: torch.export.Dim("n", min=1, max=4096)}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    written = onnx.load(path)
    for name, text in _metadata(description).items():
        written.metadata_props.add(key=name, value=text)
    for node in written.graph.node:  # source locations: of no use, and they hold personal paths
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.save(written, path)
    return {path.name: path}


def _write_openvino(folder: Path, description: ModelFile, network: TileNetwork) -> dict[str, Path]:
    openvino = import_openvino()
    side = description.tiling.side_px
    with _quiet():
        converted = openvino.convert_model(
            _scoring_network(description, network),
            example_input=synthetic_tiles(side)[:_EXAMPLE_TILES],
            input=[openvino.PartialShape([-1, 3, side, side])],
        )
    converted.input(0).set_names({"tiles"})
    converted.output(0).set_names({"scores"})
    for name, text in _metadata(description).items():
        converted.set_rt_info(text, ["inkdot", name])
    path = folder / "model.xml"
    openvino.save_model(converted, path, compress_to_fp16=False)
    return {path.name: path, "model.bin": path.with_suffix(".bin")}


def _write_wsinfer(folder: Path, description: ModelFile, network: TileNetwork) -> dict[str, Path]:
    module = FlaggingNetwork(network, description.head_records, description.temperatures).eval()
    side = description.tiling.side_px
    with _quiet(), torch.inference_mode():
        traced = torch.jit.trace(module, torch.zeros(_EXAMPLE_TILES, 3, side, side))
    path, config = folder / "torchscript_model.pt", folder / "config.json"
    with _quiet():
        torch.jit.save(traced, str(folder / "with_debug_files.pt"))
    _copy_without_debug_files(folder / "with_debug_files.pt", path)
    config.write_text(
        json.dumps(wsinfer_config(description), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return {path.name: path, config.name: config}


def _copy_without_debug_files(source: Path, path: Path) -> None:
    """Copy a TorchScript archive without its debug files, which hold personal paths."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            if not name.endswith(".debug_pkl"):
                new.writestr(zipfile.ZipInfo(name), old.read(name))


def _scoring_network(description: ModelFile, network: TileNetwork) -> ScoringNetwork:
    return ScoringNetwork(network, description.head_records, description.temperatures).eval()


def _metadata(description: ModelFile) -> dict[str, str]:
    """Metadata inside an exported file, for users who have only this file."""
    return {
        "inkdot": __version__,
        "use": "For Research Use Only. Not for use in diagnostic procedures.",
        "trained_on_synthetic": str(description.trained_on.synthetic).lower(),
        "columns": ",".join(score_columns(description.head_records)),
        "mpp": f"{description.tiling.mpp:g}",
        "side_px": str(description.tiling.side_px),
    }


def _import(package: str) -> Any:
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError:
        raise UserError(
            f"--format onnx: expected the package {package}, found none; pip install 'inkdot[onnx]'"
        ) from None


@contextmanager
def _quiet() -> Generator[None]:
    """Hide deprecation warnings of torch during tracing: users cannot act on them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

"""The kinds of files that are fuzzed: which file is changed, how, and the function that reads it in a command."""

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from case_models import case_table
from mutations import mutated_bytes, mutated_csv, mutated_json, mutated_text, mutated_tiff
from structured import FileMutation, by_bytes, mutate_hdf5, mutate_parquet, mutate_sqlite, mutated_safetensors

from inkdot.annotations.read_annotation import read_annotation
from inkdot.bounded_json import parse_json
from inkdot.case_model.case_model_file import read_case_model
from inkdot.case_model.predict_cases import predict_cases, predictions_csv
from inkdot.cases.case_panel import case_panel
from inkdot.cases.evidence import read_evidence_rules
from inkdot.cases.published_models import read_published_model
from inkdot.cases.read_cases import check_cases
from inkdot.cases.reference_ranges import read_reference_ranges
from inkdot.cell_finder.finder_files import read_finder
from inkdot.config import AnnotationConfig, ImagesConfig, load_config
from inkdot.datasets.image_tables import read_image_table
from inkdot.errors import InkdotError
from inkdot.geometry import plan_rectangle
from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import read_slides
from inkdot.model.encoders.weights_file import read_tensors
from inkdot.model.model_folder import load_model
from inkdot.model.ood_reference import read_ood_reference
from inkdot.pipeline.results.render_slide import read_slide_prediction
from inkdot.pipeline.shards import latest_shards, listed_slides, unfinished_shards
from inkdot.records import Mpp, RgbArray, SlideEntry, SlideInfo
from inkdot.review.active_learning.query_list import read_query_list
from inkdot.review.gallery.pseudonyms import read_pseudonyms
from inkdot.review.results.read_results import read_slide_results
from inkdot.review.verdicts.qupath_import import read_qupath
from inkdot.review.verdicts.stored_verdicts import read_stored_verdicts
from inkdot.review.verdicts.verdict_table import read_verdicts
from inkdot.serve.reader_verdicts import VerdictRefusedError, parse_update
from inkdot.serve.readers import read_tokens
from inkdot.slides import open_slide
from inkdot.storage import ledger
from inkdot.storage.embeddings.embedding_formats import read_any
from inkdot.storage.embeddings.foreign_tiles import ForeignSource
from inkdot.storage.hashing import file_sha256, json_sha256
from inkdot.storage.image_files import read_image_metadata
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.finder_corrections import read_finder_corrections
from inkdot.storage.tables.labels_table import read_labels
from inkdot.storage.tables.parquet_tables import read_table
from inkdot.storage.tables.predictions import read_predictions
from inkdot.training.fit.checkpoint import read_state
from inkdot.units import Level0Px, LevelPx

INFO = SlideInfo(
    slide_id="s", size_l0_px=(Level0Px(4000), Level0Px(3000)), mpp=Mpp.square(0.25), mpp_source="metadata",
    level_sizes_px=((LevelPx(4000), LevelPx(3000)),), level_downsamples=(1.0,),
)  # fmt: skip
_ANNOTATIONS = AnnotationConfig(classes={"Malignant": {"malignancy": "malignant"}})
_SOURCE = ForeignSource(INFO, encoder="e")


@dataclass(frozen=True)
class Pixels:
    """What was read of a slide.

    Attributes:
        level0: All of level 0.
        warnings: What the reader warns of.
    """

    level0: RgbArray
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        pattern: The file in the corpus; the first that matches. Its first folder is copied for each case.
        mutate: Changes the file in place.
        read: Reads it as a command does, given the copied folder and the file.
        allowed: Errors that are no finding, apart from a message that is too long or has several lines.
        checksum: Its pixels are under a checksum, so that other pixels without a warning are a finding.
        finish: Changes other files of the folder to fit, half of the time.
    """

    pattern: str
    mutate: FileMutation
    read: Callable[[Path, Path], object]
    allowed: tuple[type[Exception], ...] = (InkdotError,)
    checksum: bool = False
    finish: Callable[[Path], None] | None = None


def read_pixels(path: Path) -> Pixels:
    """All levels of a slide; level 0 is kept."""
    with closing(open_slide(SlideEntry("s", path, mpp=Mpp.square(0.25)))) as slide:
        info = slide.info
        first = slide.read(plan_rectangle(info, 0, 0, 0, *(min(side, 4096) for side in info.size_l0_px)))
        for level in range(1, len(info.level_sizes_px)):
            width, height = info.level_sizes_px[level]
            down = info.level_downsamples[level]
            slide.read(plan_rectangle(info, level, 0, 0, min(width, 2048) * down, min(height, 2048) * down))
        slide.thumbnail(300)
        return Pixels(first, info.warnings)


def _results(_: Path, path: Path) -> object:
    """What review, evaluate and predict read of a scored slide."""
    layout = RunLayout(path.parents[1])
    read_slide_prediction(layout, path.stem)
    results = read_slide_results(layout, path.stem, path.stem)
    return results.ranking(10, 0.5), results.lymphocyte_reference, results.measured_clusters


def _shards(folder: Path, _: Path) -> object:
    records = latest_shards(RunLayout(folder))
    return unfinished_shards(records), listed_slides(records)


def _fitting_hash(description: str, key: str, weights: str) -> Callable[[Path], None]:
    """Write the hash of changed weights into the description, so that they are read."""

    def finish(folder: Path) -> None:
        values: dict[str, Any] = json.loads((folder / description).read_text(encoding="utf-8"))
        holder = values if key in values else values["ood"]
        holder[key] = file_sha256(folder / weights)
        (folder / description).unlink()  # it may be a link to the corpus
        (folder / description).write_text(json.dumps(values), encoding="utf-8")

    return finish


def _case_model(_: Path, path: Path) -> object:
    model, digest = read_case_model(path)
    return predictions_csv(predict_cases(model, case_table(20)), digest)


def _rehash_case_model(folder: Path) -> None:
    """Write the hash of changed content into the file, so that it is read."""
    path = folder / "case_model.json"
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        values.pop("sha256", None)
        values["sha256"] = json_sha256(values)
    except (ValueError, AttributeError, TypeError, RecursionError):
        return
    path.unlink()  # it may be a link to the corpus
    path.write_text(json.dumps(values), encoding="utf-8")


def _annotation(_: Path, path: Path) -> object:
    return read_annotation(path, INFO, _ANNOTATIONS, DEFAULT_HEADS)


_TIFF, _BYTES = by_bytes(mutated_tiff), by_bytes(mutated_bytes)
_JSON, _CSV, _TEXT = by_bytes(mutated_json), by_bytes(mutated_csv), by_bytes(mutated_text)
_TENSORS = by_bytes(mutated_safetensors)


def _slide(pattern: str, mutate: FileMutation, *, checksum: bool = False) -> Kind:
    return Kind(pattern, mutate, lambda _, path: read_pixels(path), checksum=checksum)


SLIDES: Mapping[str, Kind] = {
    "tiff": _slide("tiff/a.tif", _TIFF),
    "svs": _slide("svs/a.svs", _TIFF),
    "ome": _slide("ome/a.ome.tif", _TIFF),
    "ome-planes": _slide("ome-planes/a.ome.tif", _TIFF),
    "bigtiff": _slide("bigtiff/a.tif", _TIFF),
    "flat-tiff": _slide("flat-tiff/a.tif", _TIFF),
    "jpeg": _slide("jpeg/a.jpg", _BYTES),
    "jpeg-progressive": _slide("jpeg-progressive/a.jpg", _BYTES),
    "png": _slide("png/a.png", _BYTES, checksum=True),
    "png-palette": _slide("png-palette/a.png", _BYTES, checksum=True),
    "dicom": _slide("dicom/a.dcm", _BYTES),
}
"""One kind per reader and dialect."""

OTHERS: Mapping[str, Kind] = {
    "slides.csv": Kind("slides-csv/slides.csv", _CSV, lambda _, path: read_slides(path, DEFAULT_HEADS)),
    "labels.csv": Kind("labels/labels.csv", _CSV, lambda _, path: read_labels(path, DEFAULT_HEADS)),
    "images.csv": Kind(
        "images-csv/images.csv", _CSV, lambda _, path: read_image_table(path, DEFAULT_HEADS, ImagesConfig())
    ),
    "verdicts.csv": Kind("verdicts/verdicts.csv", _CSV, lambda _, path: read_verdicts(path, DEFAULT_HEADS)),
    "predictions.csv": Kind("results/predictions.csv", _CSV, lambda _, path: read_predictions(path)),
    "pseudonyms.csv": Kind("pseudonyms/pseudonyms.csv", _CSV, lambda _, path: read_pseudonyms(path)),
    "tokens.csv": Kind("tokens/tokens.csv", _CSV, lambda _, path: read_tokens(path)),
    "query-list": Kind("queries/queries.csv", _CSV, lambda _, path: read_query_list(path)),
    "finder-corrections": Kind("corrections/corrections.csv", _CSV, lambda _, path: read_finder_corrections(path)),
    "geojson": Kind("geojson/a.geojson", _JSON, _annotation),
    "asap": Kind("asap/a.xml", _TEXT, _annotation),
    "imagescope": Kind("imagescope/a.xml", _TEXT, _annotation),
    "boxes": Kind("boxes/boxes.csv", _CSV, _annotation),
    "qupath-verdicts": Kind("qupath/a.geojson", _JSON, lambda _, path: read_qupath(path, DEFAULT_HEADS, (5, 5), (4000, 3000))),
    "config": Kind("config/config.yaml", _TEXT, lambda _, path: load_config(path)),
    "cases.csv": Kind("case/cases.csv", _CSV, lambda _, path: [case_panel(case) for case in check_cases(path).cases]),
    "reference-ranges": Kind("case/reference_ranges.yaml", _TEXT, lambda _, path: read_reference_ranges(path)),
    "evidence-rules": Kind("case/evidence_rules.yaml", _TEXT, lambda _, path: read_evidence_rules(path)),
    "published-model": Kind("case/gao-2022-model-b.yaml", _TEXT, lambda _, path: read_published_model(path)),
    "case-model": Kind("case-model/case_model.json", _JSON, _case_model, finish=_rehash_case_model),
    "shard.json": Kind("shard/shards/1-of-2/shard.json", _JSON, _shards),
    "ledger": Kind("results/ledger.jsonl", _TEXT, lambda _, path: list(ledger.failures(ledger.read(path)))),
    "model.json": Kind("model/model.json", _JSON, lambda folder, _: load_model(folder)),
    "model-weights": Kind(
        "model/weights.safetensors", _TENSORS, lambda folder, _: load_model(folder),
        finish=_fitting_hash("model.json", "weights_sha256", "weights.safetensors"),
    ),
    "ood-reference": Kind("model/reference.safetensors", _TENSORS, lambda folder, _: read_ood_reference(folder)),
    "finder.json": Kind("finder/finder.json", _JSON, lambda folder, _: read_finder(folder)),
    "finder-weights": Kind(
        "finder/weights.safetensors", _TENSORS, lambda folder, _: read_finder(folder),
        finish=_fitting_hash("finder.json", "weights_sha256", "weights.safetensors"),
    ),
    "weights.pth": Kind("weights/a.pth", _BYTES, lambda _, path: read_tensors(path)),
    "checkpoint": Kind("checkpoint/a.safetensors", _TENSORS, lambda _, path: read_state(path, "ab")),
    "tiles": Kind("results/tiles/*.parquet", mutate_parquet, lambda _, path: read_table(path, TILES_VERSION)),
    "scores": Kind("results/scores/*.parquet", mutate_parquet, _results),
    "clusters": Kind("results/clusters/*.parquet", mutate_parquet, _results),
    "cluster-scores": Kind("results/cluster_scores/*.parquet", mutate_parquet, _results),
    "embeddings": Kind("results/embeddings/*.h5", mutate_hdf5, lambda _, path: read_any(path, _SOURCE)),
    "trident": Kind("trident/a.h5", mutate_hdf5, lambda _, path: read_any(path, _SOURCE)),
    "clam": Kind("clam/a.h5", mutate_hdf5, lambda _, path: read_any(path, _SOURCE)),
    "stamp": Kind("stamp/a.h5", mutate_hdf5, lambda _, path: read_any(path, _SOURCE)),
    "mask.png": Kind("results/masks/*.png", _BYTES, lambda _, path: read_image_metadata(path)),
    "reviews.sqlite": Kind("reviews/reviews.sqlite", mutate_sqlite, lambda _, path: read_stored_verdicts(path, DEFAULT_HEADS)),
    "update": Kind(
        "update/update.json", _JSON, lambda _, path: parse_update(parse_json(path.read_bytes())),
        allowed=(VerdictRefusedError, ValueError),  # the handler answers both with 400
    ),
}  # fmt: skip
"""Tables of users, annotations, configs, models and what commands write."""

KINDS: Mapping[str, Kind] = {**SLIDES, **OTHERS}


def sound(kind: Kind, corpus: Path) -> object:
    """What is read of the file as it is in the corpus."""
    path = file_of(kind, corpus)
    return kind.read(corpus / path.relative_to(corpus).parts[0], path)


def file_of(kind: Kind, corpus: Path) -> Path:
    """The file of a kind.

    Raises:
        SystemExit: The corpus has none.
    """
    found = sorted(corpus.glob(kind.pattern))
    if not found:
        raise SystemExit(
            f"{corpus}: expected a corpus with {kind.pattern}, found none; delete the folder to make it again"
        )
    return found[0]


def changed_fraction(one: RgbArray, other: RgbArray) -> float:
    """Fraction (0 to 1) of pixels that differ by more than 2 grey levels; 1 where the sizes differ."""
    if one.shape != other.shape:
        return 1.0
    return float((np.abs(one.astype(np.int16) - other).max(axis=-1) > 2).mean())

"""Scoring the tiles of one slide."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import pyarrow as pa

from inkdot.errors import StorageError, SyntheticModelError
from inkdot.model.encoder_hash import model_encoder_sha256
from inkdot.model.predictor import Predicted, Predictor, Runtime
from inkdot.model.runtimes.batches import FeatureArray
from inkdot.model.runtimes.precision import precision_warnings
from inkdot.pipeline.scoring.embed_slide import embedding_facts, embeddings_valid, tile_corners
from inkdot.pipeline.scoring.guards import real_slide_message
from inkdot.pipeline.scoring.infer_tiles import infer_tiles
from inkdot.pipeline.scoring.score_embeddings import infer_from_embeddings, read_matching
from inkdot.pipeline.scoring.unlike_training import (
    cell_finder_warnings,
    model_warnings,
    scale_warnings,
    unseen_in_training,
)
from inkdot.records import SlideEntry
from inkdot.storage.embeddings.slide_embeddings import Embeddings, write_embeddings
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.ensemble_files import single_model_only
from inkdot.storage.models.model_files import model_sha256
from inkdot.storage.record_json import tile_spec_json
from inkdot.storage.schemas import SCORES_VERSION, TILE_GEOMETRY, TILES_VERSION, scores_schema
from inkdot.storage.tables.parquet_tables import read_footer, read_table, write_table
from inkdot.storage.tables.scores import MEMBER_SLIDE_SCORES, MIL_SCORE, OOD_CALLS, UNSEEN

_NO_INPUT = ("version", MEMBER_SLIDE_SCORES, OOD_CALLS, MIL_SCORE)
"""Entries of the footer that scores are not made from."""


@dataclass(frozen=True, slots=True)
class ScoringModel:
    """The model that scores a batch, and how.

    Attributes:
        predictor: The model, ready to run.
        model_sha256: Hash of the whole model folder.
        allow_synthetic_model: Let a model trained on synthetic specimens score real slides.
        embeddings: Write the embeddings of the tiles, too.
        embeddings_from: A folder of `inkdot embed` whose embeddings are scored instead of pixels; or None.
        folder: The model folder.
        encoder_sha256: Hash of the model's encoder, see :mod:`inkdot.model.encoder_hash`; empty without embeddings.
        keep_ood_calls: Call slides unlike those of training, too.
    """

    predictor: Predictor
    model_sha256: str
    allow_synthetic_model: bool
    embeddings: bool = False
    embeddings_from: RunLayout | None = None
    folder: Path = Path()
    encoder_sha256: str = ""
    keep_ood_calls: bool = False

    @property
    def ood_calls(self) -> Literal["abstain", "keep"]:
        """What becomes of the call of a slide unlike those of training, as the footer of the scores says it."""
        return "keep" if self.keep_ood_calls else "abstain"

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        allow_synthetic_model: bool,
        runtime: Runtime = "auto",
        embeddings: bool = False,
        embeddings_from: RunLayout | None = None,
        keep_ood_calls: bool = False,
    ) -> "ScoringModel":
        """Load a model folder.

        Raises:
            StorageError: The folder is not a model, or its files do not belong together.
            UserError: Embeddings are requested of an ensemble, which has several encoders.
        """
        predictor = Predictor(folder, runtime=runtime)
        if embeddings or embeddings_from:
            single_model_only(folder, predictor.description.members, "predict with embeddings")
        encoder = model_encoder_sha256(folder) if embeddings or embeddings_from else ""
        return cls(
            predictor,
            model_sha256(folder),
            allow_synthetic_model,
            embeddings,
            embeddings_from,
            folder.absolute(),
            encoder,
            keep_ood_calls,
        )


def score_slide(entry: SlideEntry, layout: RunLayout, scoring: ScoringModel) -> Literal["done", "reused"]:
    """Score every tile in ``tiles/<slide_id>.parquet``; write ``scores/<slide_id>.parquet`` and, if requested, embeddings.

    An earlier result is reused when it was made from the same tiles by the same model in the same runtime, with the same
    warnings. The hash of the tile table covers the slide and the settings, whose hashes are in its footer.

    Raises:
        SlideError: The slide's pixels cannot be read.
        SyntheticModelError: A synthetic model was given a real slide without permission.
    """
    model = scoring.predictor.description
    tiles_path, scores_path = layout.tiles(entry.slide_id), layout.scores(entry.slide_id)
    table, tile_facts = read_table(tiles_path, TILES_VERSION)
    synthetic_slide = bool(cast("dict[str, object]", tile_facts["slide"])["synthetic"])
    if model.trained_on.synthetic and not synthetic_slide and not scoring.allow_synthetic_model:
        raise SyntheticModelError(real_slide_message(entry.slide_id))
    given = _given_embeddings(entry, table, tile_facts, scoring)
    facts = _facts(entry, tile_facts, file_sha256(tiles_path), scoring, given)
    own = _embedding_facts(tile_facts, facts, scoring)
    calls = {OOD_CALLS: scoring.ood_calls}
    if _is_current(scores_path, facts) and (
        not scoring.embeddings or embeddings_valid(layout, entry.slide_id, own, "float16")
    ):
        return "reused" if _makes_calls(scores_path, scoring) else _with_calls(scores_path, calls)

    def write(batches: Iterator[FeatureArray]) -> None:
        write_embeddings(
            layout, entry.slide_id, batches, coords=tile_corners(table), dims=scoring.predictor.network.feature_count,
            dtype="float16", row="tile", metadata=own,
        )  # fmt: skip

    if given is not None:
        predicted, ood_distances = infer_from_embeddings(given, scoring.folder, scoring.predictor)
    else:
        fingerprint = str(tile_facts["slide_fingerprint"])
        predicted, ood_distances = infer_tiles(
            entry, table, scoring.predictor, fingerprint, write if scoring.embeddings else None
        )
    schema = scores_schema(model.head_records, ensemble=predicted.spread is not None)
    columns = [table.column(name) for name in TILE_GEOMETRY]
    for values in (predicted.attention, ood_distances):
        columns += [pa.nulls(len(table), pa.float32()) if values is None else pa.array(values)]
    columns += [pa.array(predicted.scores[:, index]) for index in range(predicted.scores.shape[1])]
    columns += [] if predicted.spread is None else [pa.array(predicted.spread)]
    written = pa.Table.from_arrays(columns, schema=schema)
    write_table(scores_path, written, SCORES_VERSION, facts | calls | _of_slide(predicted))
    return "done"


def _of_slide(predicted: Predicted) -> dict[str, object]:
    """The slide's score where it is no function of the tiles' scores: by a transformer, or by each member of an ensemble."""
    own = predicted.member_slide_scores
    if predicted.slide_score is not None:
        return {MIL_SCORE: predicted.slide_score}
    return {MEMBER_SLIDE_SCORES: own.tolist()} if own is not None and len(predicted.scores) else {}


def _makes_calls(path: Path, scoring: ScoringModel) -> bool:
    """Whether earlier scores call slides unlike those of training as asked."""
    return read_footer(path, SCORES_VERSION).get(OOD_CALLS) == scoring.ood_calls


def _with_calls(path: Path, calls: Mapping[str, str]) -> Literal["done"]:
    """Write earlier scores again with another rule for calls: the network need not run for it."""
    table, footer = read_table(path, SCORES_VERSION)
    kept = {name: value for name, value in footer.items() if name != "version"}
    write_table(path, table.replace_schema_metadata(None), SCORES_VERSION, kept | dict(calls))
    return "done"


def scores_reusable(entry: SlideEntry, layout: RunLayout, scoring: ScoringModel) -> bool:
    """Whether earlier scores are valid and call as asked, given that the slide's tiles are valid."""
    tiles_path, scores_path = layout.tiles(entry.slide_id), layout.scores(entry.slide_id)
    table, tile_facts = read_table(tiles_path, TILES_VERSION)
    given = _given_embeddings(entry, table, tile_facts, scoring)
    facts = _facts(entry, tile_facts, file_sha256(tiles_path), scoring, given)
    own = _embedding_facts(tile_facts, facts, scoring)
    return (
        _is_current(scores_path, facts)
        and _makes_calls(scores_path, scoring)
        and (not scoring.embeddings or embeddings_valid(layout, entry.slide_id, own, "float16"))
    )


def _given_embeddings(
    entry: SlideEntry, tiles: pa.Table, tile_facts: dict[str, object], scoring: ScoringModel
) -> Embeddings | None:
    """The embeddings to score instead of pixels; None where pixels are scored."""
    if scoring.embeddings_from is None:
        return None
    return read_matching(
        entry, tiles, tile_facts, scoring.embeddings_from, scoring.predictor, scoring.encoder_sha256
    )


def _facts(
    entry: SlideEntry,
    tile_facts: dict[str, object],
    tiles_sha256: str,
    scoring: ScoringModel,
    given: Embeddings | None,
) -> dict[str, object]:
    """The footer of a score table: what the scores were made from, and their warnings."""
    model = scoring.predictor.description
    runtime, precision = scoring.predictor.runtime, scoring.predictor.precision
    if given is not None:
        runtime, precision = given.metadata["runtime"], given.metadata["precision"]
    slide_facts = cast("dict[str, Any]", tile_facts["slide"])
    abstention = {name: own.model_dump(mode="json") for name, own in model.abstention.items()}
    finder_warnings = cell_finder_warnings(tile_facts.get("cell_finder_name"), model)
    return {
        "slide": slide_facts,
        "assessment": tile_facts.get("assessment"),
        "slide_fingerprint": tile_facts["slide_fingerprint"],
        "tile_spec": tile_spec_json(model.tiling.spec),
        "tiles_sha256": tiles_sha256,
        "model_sha256": scoring.model_sha256,
        "runtime": runtime,
        "precision": precision,
        **({} if given is None else {"embeddings_sha256": given.metadata["array_sha256"]}),
        "synthetic_model": model.trained_on.synthetic,
        "heads": [head.model_dump(mode="json") for head in model.heads],
        "operating_points": {
            name: point.model_dump(mode="json") for name, point in model.operating_points.items()
        },
        "warnings": [
            *model_warnings(entry, model, synthetic_slide=bool(slide_facts["synthetic"])),
            *scale_warnings((float(slide_facts["mpp_x"]), float(slide_facts["mpp_y"])), model),
            *finder_warnings,
            *precision_warnings(model.precision, precision),
            *cast("list[str]", slide_facts["warnings"]),
        ],
        **({"cell_finder_name": tile_facts["cell_finder_name"]} if finder_warnings else {}),
        **({"abstention": abstention} if abstention else {}),
        **(
            {"slide_score_rule": model.slide_score_rule.model_dump(mode="json")}
            if model.slide_score_rule
            else {}
        ),
        **({"distance_limit": model.ood.median_limit} if model.ood else {}),
        **({UNSEEN: unseen} if (unseen := unseen_in_training(entry, model)) else {}),
    }


def _is_current(path: Path, facts: dict[str, object]) -> bool:
    if not path.exists():
        return False
    try:
        earlier = read_footer(path, SCORES_VERSION)
    except StorageError:
        return False
    return {name: value for name, value in earlier.items() if name not in _NO_INPUT} == facts


def _embedding_facts(
    tile_facts: dict[str, object], facts: dict[str, object], scoring: ScoringModel
) -> dict[str, Any]:
    """The metadata of embeddings that are written beside scores: those of `inkdot embed`, and the model."""
    description = scoring.predictor.description
    own = embedding_facts(
        tile_facts,
        cast(str, facts["tiles_sha256"]),
        encoder=description.encoder or description.backbone,
        encoder_sha256=scoring.encoder_sha256,
        runtime=scoring.predictor.runtime,
        precision=scoring.predictor.precision,
        dct_scaling=description.tiling.dct_scaling,
    )
    return own | {"model_sha256": scoring.model_sha256}

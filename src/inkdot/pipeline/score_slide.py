"""Scoring the tiles of one slide."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import pyarrow as pa

from inkdot.errors import StorageError, SyntheticModelError
from inkdot.model.batches import FeatureArray
from inkdot.model.predictor import Predictor, Runtime
from inkdot.pipeline.guards import synthetic_refusal
from inkdot.pipeline.infer_tiles import infer_tiles
from inkdot.records import SlideEntry
from inkdot.storage.embeddings import read_embeddings, write_embeddings
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import RunLayout
from inkdot.storage.model_files import ModelFile, model_sha256
from inkdot.storage.record_json import tile_spec_facts
from inkdot.storage.schemas import SCORES_VERSION, TILE_GEOMETRY, TILES_VERSION, scores_schema
from inkdot.storage.tables.parquet_tables import read_footer, read_table, write_table

SYNTHETIC_MODEL_WARNING = (
    "the model was trained on synthetic specimens only: its scores mean nothing on real cells"
)
UNKNOWN_SCALE_WARNING = (
    "the model was trained on images of unknown scale: nobody knows whether these tiles match them"
)

SCALE_TOLERANCE: Final = 1.2
"""Scanners called 20x give 0.44 to 0.52 µm/px, those called 40x 0.22 to 0.26: a factor of 1.18 among equals, of 2 between."""


_EMBEDDING_FACTS = ("slide_fingerprint", "tiles_sha256", "model_sha256", "runtime", "precision")


@dataclass(frozen=True, slots=True)
class Scoring:
    """The model a batch is scored with.

    Attributes:
        scorer: The network, ready to run.
        model_sha256: Hash that stands for the whole model folder.
        allow_synthetic_model: Let a model trained on synthetic specimens score real slides.
        embeddings: Write what the network saw of each tile, too.
    """

    scorer: Predictor
    model_sha256: str
    allow_synthetic_model: bool
    embeddings: bool = False

    @classmethod
    def load(
        cls, folder: Path, *, allow_synthetic_model: bool, runtime: Runtime = "auto", embeddings: bool = False
    ) -> "Scoring":
        """Load a model folder.

        Raises:
            StorageError: The folder is not a model, or its files do not belong together.
        """
        scorer = Predictor(folder, runtime=runtime)
        return cls(scorer, model_sha256(folder), allow_synthetic_model, embeddings)


def score_slide(entry: SlideEntry, layout: RunLayout, scoring: Scoring) -> Literal["done", "reused"]:
    """Score every tile in ``tiles/<slide_id>.parquet``; write ``scores/<slide_id>.parquet`` and, if wanted, embeddings.

    An earlier result is reused when it was made from the same tiles by the same model in the same runtime and
    carries the same warnings. The hash of the tile table stands for the slide and the settings too: its footer holds
    theirs.

    Raises:
        SlideError: The slide's pixels cannot be read.
        SyntheticModelError: A synthetic model was given a real slide without leave.
    """
    model = scoring.scorer.description
    tiles_path, scores_path = layout.tiles(entry.slide_id), layout.scores(entry.slide_id)
    table, tile_facts = read_table(tiles_path, TILES_VERSION)
    synthetic_slide = bool(cast("dict[str, object]", tile_facts["slide"])["synthetic"])
    if model.trained_on.synthetic and not synthetic_slide and not scoring.allow_synthetic_model:
        raise SyntheticModelError(synthetic_refusal(entry.slide_id))
    facts = _facts(entry, tile_facts, file_sha256(tiles_path), scoring)
    if _fits(scores_path, facts) and _embeddings_fit(entry, layout, scoring, facts):
        return "reused"

    def keep(batches: Iterator[FeatureArray]) -> None:
        write_embeddings(
            layout, entry.slide_id, batches, rows=len(table), dims=scoring.scorer.network.feature_count,
            number="float16", row="tile", facts=_embedding_facts(facts),
        )  # fmt: skip

    (scores, attention), distances = infer_tiles(
        entry, table, scoring.scorer, keep if scoring.embeddings else None
    )
    schema = scores_schema(model.head_records)
    columns = [table.column(name) for name in TILE_GEOMETRY]
    for values in (attention, distances):
        columns += [pa.nulls(len(table), pa.float32()) if values is None else pa.array(values)]
    columns += [pa.array(scores[:, index]) for index in range(scores.shape[1])]
    write_table(scores_path, pa.Table.from_arrays(columns, schema=schema), SCORES_VERSION, facts)
    return "done"


def scores_fit(entry: SlideEntry, layout: RunLayout, scoring: Scoring) -> bool:
    """Whether earlier scores would be reused, given that the slide's tiles are."""
    tiles_path = layout.tiles(entry.slide_id)
    tile_facts = read_footer(tiles_path, TILES_VERSION)
    facts = _facts(entry, tile_facts, file_sha256(tiles_path), scoring)
    return _fits(layout.scores(entry.slide_id), facts) and _embeddings_fit(entry, layout, scoring, facts)


def _facts(
    entry: SlideEntry, tile_facts: dict[str, object], tiles_sha256: str, scoring: Scoring
) -> dict[str, object]:
    """What binds scores to what they were made from, and what must be said with them."""
    model = scoring.scorer.description
    slide_facts = cast("dict[str, Any]", tile_facts["slide"])
    abstention = {name: own.model_dump(mode="json") for name, own in model.abstention.items()}
    return {
        "slide": slide_facts,
        "assessment": tile_facts.get("assessment"),
        "slide_fingerprint": tile_facts["slide_fingerprint"],
        "tile_spec": tile_spec_facts(model.tiling.spec),
        "tiles_sha256": tiles_sha256,
        "model_sha256": scoring.model_sha256,
        "runtime": scoring.scorer.runtime,
        "precision": scoring.scorer.precision,
        "synthetic_model": model.trained_on.synthetic,
        "heads": [head.model_dump(mode="json") for head in model.heads],
        "operating_points": {
            name: point.model_dump(mode="json") for name, point in model.operating_points.items()
        },
        "warnings": [
            *warnings_for(entry, model, synthetic_slide=bool(slide_facts["synthetic"])),
            *scale_warnings((float(slide_facts["mpp_x"]), float(slide_facts["mpp_y"])), model),
            *scoring.scorer.warnings,
            *cast("list[str]", slide_facts["warnings"]),
        ],
        **({"abstention": abstention} if abstention else {}),
        **({"distance_limit": model.ood.limit} if model.ood else {}),
    }


def warnings_for(entry: SlideEntry, model: ModelFile, *, synthetic_slide: bool) -> list[str]:
    """What must be said with every output about this slide, in plain words."""
    seen = model.trained_on
    warnings: list[str] = []
    if seen.synthetic:
        warnings.append(
            "synthetic model on a synthetic slide" if synthetic_slide else SYNTHETIC_MODEL_WARNING
        )
    if not model.mpp_known:
        warnings.append(UNKNOWN_SCALE_WARNING)
    for name, value, known in (
        ("stain", entry.stain, seen.stains),
        ("preparation", entry.preparation or "", seen.preparations),
    ):
        if not value:
            warnings.append(f"{name} not stated; the model saw {', '.join(known) or 'unstated ones'}")
        elif value not in known:
            warnings.append(
                f"{name} '{value}' was never seen in training; the model saw {', '.join(known) or 'unstated ones'}"
            )
    return warnings


def scale_warnings(mpp: tuple[float, float], model: ModelFile) -> list[str]:
    """What must be said of a slide that was scanned finer or coarser than those that the model saw.

    All tiles have the model's scale, but one made from a coarser scan lacks what the network learnt to look for.

    Args:
        mpp: µm/px along x and y, as scanned.
        model: Says what it saw.
    """
    seen = model.trained_on.mpp_range
    if seen is None or (min(mpp) >= seen[0] / SCALE_TOLERANCE and max(mpp) <= seen[1] * SCALE_TOLERANCE):
        return []
    return [
        f"mpp {mpp[0]:.4g} is outside the trained range of {seen[0]:.4g} to {seen[1]:.4g} µm/px: its tiles are sharper or "
        "softer than those the model saw"
    ]


def _fits(path: Path, facts: dict[str, object]) -> bool:
    if not path.exists():
        return False
    try:
        earlier = read_footer(path, SCORES_VERSION)
    except StorageError:
        return False
    return {name: value for name, value in earlier.items() if name != "version"} == facts


def _embedding_facts(facts: dict[str, object]) -> dict[str, object]:
    """What binds embeddings to what they were made from."""
    return {name: facts[name] for name in _EMBEDDING_FACTS}


def _embeddings_fit(entry: SlideEntry, layout: RunLayout, scoring: Scoring, facts: dict[str, object]) -> bool:
    """Whether embeddings are not wanted, or lie there whole and were made from the same."""
    if not scoring.embeddings:
        return True
    try:
        earlier = read_embeddings(layout, entry.slide_id).facts
    except StorageError:
        return False
    return {name: earlier.get(name) for name in _embedding_facts(facts)} == _embedding_facts(facts)

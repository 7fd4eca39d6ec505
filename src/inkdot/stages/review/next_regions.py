"""``inkdot review next``: active learning, the regions to review next."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from rich.console import Console

from inkdot.config import ReviewConfig
from inkdot.errors import StorageError
from inkdot.labels import DEFAULT_HEADS, Head
from inkdot.review.active_learning.query_list import MAX_REGIONS_PER_SLIDE, Query, query_list_text
from inkdot.review.active_learning.query_strategy import (
    FloatArray,
    entropy_bits,
    prior_corrected,
    score_features,
    select_queries,
    standardize,
)
from inkdot.review.gallery.pseudonyms import read_pseudonyms
from inkdot.review.results.ranking import Region
from inkdot.review.results.read_results import read_slide_results
from inkdot.review.verdicts.csv_cells import plain_text
from inkdot.review.verdicts.stored_verdicts import read_stored_verdicts
from inkdot.review.verdicts.verdict_table import regions_with_verdict
from inkdot.storage.atomic import write_text
from inkdot.storage.embeddings.slide_embeddings import Embeddings, read_embeddings
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import MEASURES
from inkdot.storage.tables.predictions import read_predictions


@dataclass(frozen=True, slots=True)
class _Candidate:
    slide_id: str
    region: Region
    embedding: FloatArray | None
    encoder_sha256: str


def run(results: Path, out: Path, *, count: int = 100, reviewed: Sequence[Path] = ()) -> int:
    """Write the query list: uncertain regions that differ from each other and from the reviewed ones.

    Features are the embeddings in the results where every slide has them from one encoder, else scores and measurements of
    nuclei.

    Args:
        results: Results folder of ``inkdot predict``.
        out: The query list to write, for ``inkdot review serve --query-list``.
        count: How many regions.
        reviewed: Verdicts so far (``verdicts.csv``, ``reviews.sqlite``): their regions are not listed again, and regions
            that resemble them come late.

    Returns:
        0; 1 where the tables of a slide cannot be read: it is named, and its regions are left out.

    Raises:
        StorageError: The results come from two models.
        ManifestError: A table of verdicts is missing or invalid.
    """
    layout = RunLayout(results)
    rows = [row for row in read_predictions(layout.predictions_csv) if row["outcome"] == "done"]
    failed: dict[str, str] = {}
    candidates, heads, model = _candidates(layout, [plain_text(row["slide_id"]) for row in rows], failed)
    done = _already_reviewed(candidates, _verdicts(layout, reviewed, heads))
    scores = {
        name: np.asarray([candidate.region.scores[name] for candidate in candidates], dtype=np.float64)
        for name in (candidates[0].region.scores if candidates else ())
    }
    by_embedding = (
        bool(candidates)
        and all(candidate.embedding is not None for candidate in candidates)
        and len({candidate.encoder_sha256 for candidate in candidates}) == 1
    )
    queries: list[Query] = []
    if candidates:
        features, bits = (
            _features(candidates, scores, by_embedding=by_embedding),
            entropy_bits(prior_corrected(scores, heads), heads),
        )
        open_rows = np.flatnonzero(~done)
        chosen, distances = select_queries(bits[open_rows], features[open_rows], features[done], count)
        for index, gap in zip(chosen, distances, strict=True):
            row, distance = int(open_rows[index]), float(gap)
            candidate = candidates[row]
            queries.append(
                Query(
                    slide_id=candidate.slide_id,
                    geometry=candidate.region.wkt,
                    score=candidate.region.score,
                    entropy_bits=float(bits[row]),
                    distance=distance if np.isfinite(distance) else None,
                    model_sha256=model,
                )
            )
    write_text(out, query_list_text(queries))
    features_from = "embeddings" if by_embedding else "scores and measurements"
    Console(stderr=True).print(
        f"{len(queries)} regions of {len({item.slide_id for item in queries})} slides in {out}, selected from "
        f"{len(candidates)} by {features_from} ({int(done.sum())} already reviewed)",
        soft_wrap=True,
        markup=False,
    )
    for slide_id, reason in failed.items():
        Console(stderr=True).print(f"{slide_id}: left out: {reason}", soft_wrap=True, markup=False)
    return 1 if failed else 0


def _candidates(
    layout: RunLayout, slide_ids: Iterable[str], failed: dict[str, str]
) -> tuple[list[_Candidate], tuple[Head, ...], str]:
    """The regions of all slides in a fixed order, the heads and the model of their scores; adds to ``failed``."""
    found: list[_Candidate] = []
    heads: tuple[Head, ...] = DEFAULT_HEADS
    model, distance = "", ReviewConfig().min_distance_fraction
    for slide_id in sorted(slide_ids):
        try:
            reviewed = read_slide_results(layout, slide_id, slide_id)
        except StorageError as error:
            failed[slide_id] = str(error)
            continue
        facts = reviewed.slide.facts
        if model and facts.model_sha256 != model:
            raise StorageError(
                f"{layout.root}: expected scores of one model, found those of two; run `inkdot predict` again with one"
            )
        model, heads = facts.model_sha256, facts.heads
        embeddings = _embeddings(layout, slide_id, facts.tiles_sha256)
        encoder = str(embeddings.metadata["encoder_sha256"]) if embeddings else ""
        for region in reviewed.ranking(MAX_REGIONS_PER_SLIDE, distance).regions:
            found.append(_Candidate(slide_id, region, _embedding(embeddings, region), encoder))
    return found, heads, model


def _embeddings(layout: RunLayout, slide_id: str, tiles_sha256: str) -> Embeddings | None:
    """Embeddings of these tiles, if there are any; any encoder tells how far regions are apart."""
    if not layout.embeddings(slide_id).exists():
        return None
    found = read_embeddings(layout, slide_id)
    return found if found.metadata["tiles_sha256"] == tiles_sha256 else None


def _embedding(embeddings: Embeddings | None, region: Region) -> FloatArray | None:
    if embeddings is None:
        return None
    if embeddings.row == "tile":
        return np.asarray(embeddings.values[region.rows[0]], dtype=np.float64)
    return np.asarray(embeddings.values[region.cluster.cluster_id], np.float64) if region.cluster else None


def _features(
    candidates: Sequence[_Candidate], scores: dict[str, FloatArray], *, by_embedding: bool
) -> FloatArray:
    if by_embedding:
        return standardize(np.stack([c.embedding for c in candidates if c.embedding is not None]))
    measures = np.full((len(candidates), len(MEASURES) + 1), np.nan)
    for row, candidate in enumerate(candidates):
        if (cluster := candidate.region.cluster) is not None:
            measures[row, 0] = np.log1p(cluster.nuclei)
            measures[row, 1:] = [cluster.measures.get(name, np.nan) for name in MEASURES]
    return np.hstack([standardize(score_features(scores)), standardize(measures)])


def _verdicts(
    layout: RunLayout, tables: Sequence[Path], heads: Sequence[Head]
) -> dict[str, list[shapely.Polygon]]:
    """Outlines of reviewed regions by slide; pseudonyms are resolved."""
    real = {name: slide_id for slide_id, name in read_pseudonyms(layout.pseudonyms_csv).items()}
    outlines: dict[str, list[shapely.Polygon]] = {}
    for table in tables:
        for verdict in read_stored_verdicts(table, heads):
            if verdict.head and isinstance(verdict.geometry, shapely.Polygon):
                slide_id = real.get(verdict.slide_id, verdict.slide_id)
                outlines.setdefault(slide_id, []).append(verdict.geometry)
    return outlines


def _already_reviewed(
    candidates: Sequence[_Candidate], outlines: dict[str, list[shapely.Polygon]]
) -> np.ndarray:
    """Whether each candidate was reviewed, bool [n]."""
    done = np.zeros(len(candidates), dtype=np.bool_)
    for slide_id, reviewed in outlines.items():
        rows = [row for row, candidate in enumerate(candidates) if candidate.slide_id == slide_id]
        regions = [shapely.Polygon(candidates[row].region.ring_l0_px) for row in rows]
        done[rows] = regions_with_verdict(regions, reviewed)
    return done

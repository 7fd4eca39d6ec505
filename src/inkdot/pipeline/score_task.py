"""Scoring as a task that travels: the model goes by its folder, and each process loads it once."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from inkdot.errors import StorageError
from inkdot.model.predictor import Runtime
from inkdot.pipeline.score_slide import Scoring, score_slide
from inkdot.records import SlideEntry
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import Outcome


@dataclass(frozen=True, slots=True)
class ScoreTask:
    """:func:`inkdot.pipeline.score_slide.score_slide` for an engine.

    Attributes:
        layout: The results folder.
        model: The model folder, which must be at the same path wherever slides are worked on.
        model_sha256: What the model was when the batch began.
        allow_synthetic_model: Let a model trained on synthetic specimens score real slides.
        runtime: What the network runs in; ``auto`` is decided where the work is done.
        embeddings: Write what the network saw of each tile, too.
    """

    layout: RunLayout
    model: Path
    model_sha256: str
    allow_synthetic_model: bool
    runtime: Runtime
    embeddings: bool = False

    @classmethod
    def of(cls, scoring: Scoring, layout: RunLayout, model: Path, runtime: Runtime) -> "ScoreTask":
        """The task of a model that is loaded here already."""
        return cls(
            layout,
            model.absolute(),
            scoring.model_sha256,
            scoring.allow_synthetic_model,
            runtime,
            scoring.embeddings,
        )

    def __call__(self, entry: SlideEntry) -> Outcome:
        """Score one slide."""
        scoring = _loaded(
            self.model, self.model_sha256, self.allow_synthetic_model, self.runtime, self.embeddings
        )
        return score_slide(entry, self.layout, scoring)


@lru_cache(maxsize=1)
def _loaded(
    folder: Path, sha256: str, allow_synthetic_model: bool, runtime: Runtime, embeddings: bool
) -> Scoring:
    scoring = Scoring.load(
        folder, allow_synthetic_model=allow_synthetic_model, runtime=runtime, embeddings=embeddings
    )
    if scoring.model_sha256 != sha256:
        raise StorageError(
            f"{folder}: expected the model that the batch began with, found another; leave it alone while slides are scored"
        )
    return scoring

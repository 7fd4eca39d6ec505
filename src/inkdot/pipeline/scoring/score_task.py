"""Scoring as a task for other processes: it names the model folder, and each process loads the model once."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from inkdot.errors import StorageError
from inkdot.model.predictor import Runtime
from inkdot.pipeline.scoring.score_slide import ScoringModel, score_slide
from inkdot.records import SlideEntry
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import Outcome


@dataclass(frozen=True, slots=True)
class ScoreTask:
    """:func:`inkdot.pipeline.scoring.score_slide.score_slide` as a task for an executor.

    Attributes:
        layout: The results folder.
        model: The model folder, at the same path on every machine.
        model_sha256: Hash of the model at the start of the batch.
        allow_synthetic_model: Let a model trained on synthetic specimens score real slides.
        runtime: What the network runs in; ``auto`` is resolved where the task runs.
        embeddings: Write the embeddings of the tiles, too.
        embeddings_from: A folder of `inkdot embed` whose embeddings are scored instead of pixels; or None.
        keep_ood_calls: Call slides unlike those of training, too.
    """

    layout: RunLayout
    model: Path
    model_sha256: str
    allow_synthetic_model: bool
    runtime: Runtime
    embeddings: bool = False
    embeddings_from: RunLayout | None = None
    keep_ood_calls: bool = False

    @classmethod
    def of(cls, scoring: ScoringModel, layout: RunLayout, model: Path, runtime: Runtime) -> "ScoreTask":
        """The task of a model that is already loaded in this process."""
        return cls(
            layout,
            model.absolute(),
            scoring.model_sha256,
            scoring.allow_synthetic_model,
            runtime,
            scoring.embeddings,
            scoring.embeddings_from,
            scoring.keep_ood_calls,
        )

    def __call__(self, entry: SlideEntry) -> Outcome:
        """Score one slide."""
        return score_slide(entry, self.layout, _load_once(self))


@lru_cache(maxsize=1)
def _load_once(task: ScoreTask) -> ScoringModel:
    """The model of a task, loaded once in each process."""
    scoring = ScoringModel.load(
        task.model,
        allow_synthetic_model=task.allow_synthetic_model,
        runtime=task.runtime,
        embeddings=task.embeddings,
        embeddings_from=task.embeddings_from,
        keep_ood_calls=task.keep_ood_calls,
    )
    if scoring.model_sha256 != task.model_sha256:
        raise StorageError(
            f"{task.model}: expected the model that the batch began with, found another; do not change a model during a batch"
        )
    return scoring

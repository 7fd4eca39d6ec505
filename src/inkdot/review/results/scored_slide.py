"""A slide's scores and their facts, for ranking and pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import numpy.typing as npt

from inkdot.errors import StorageError
from inkdot.labels import Head, flagging_head, score_column
from inkdot.records import BoundsL0, MaskArray, Mpp, TileSpec
from inkdot.storage.models.model_records import AbstentionBand, ReliabilityStep
from inkdot.storage.models.slide_score_rule import SlideScoreRule
from inkdot.storage.tables.scores import SlideScores
from inkdot.units import Level0Px, MicrometresPerPixel

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

_TINY = 1e-300
"""Stands for a score of 0 in a logarithm."""


@dataclass(frozen=True, slots=True)
class SlideFrame:
    """Size and scale of a slide as recorded with its scores; valid even if the file is gone.

    Attributes:
        slide_id: Name of the slide.
        size_l0_px: Width and height in level-0 pixels.
        mpp: Micrometres per level-0 pixel.
        mpp_source: ``metadata`` or ``manifest``.
        bounds_l0_px: The scanned part in level-0 pixels: what the file states, else all of it.
        synthetic: The file is marked as synthetic.
    """

    slide_id: str
    size_l0_px: tuple[Level0Px, Level0Px]
    mpp: Mpp
    mpp_source: str
    bounds_l0_px: BoundsL0
    synthetic: bool


@dataclass(frozen=True, slots=True)
class ScoreFacts:
    """Facts about a slide's scores.

    Attributes:
        frame: Size and scale of the slide.
        spec: Physical scale of the tiles.
        heads: The heads.
        threshold: Score, 0 to 1, from which a tile or cluster of this slide is flagged: the locked operating point of the
            flagging head, or what reaches it with so many clusters.
        slide_threshold: The locked operating point, 0 to 1, which the score of the slide is compared with.
        count: Number of its clusters; of its tiles where it was tiled on the grid.
        slide_score_rule: How its score depends on that number; None where it does not.
        model_sha256: Hash of the model that made the scores.
        tiles_sha256: Hash of the tiles they belong to.
        slide_fingerprint: Fingerprint of the slide file; blank where it is not known.
        warnings: Warnings for the reader.
        synthetic_model: The model was trained on synthetic specimens.
        reliability: Reliability diagram of the validation data; empty where the model has none, and for a slide unlike those of
            training, of whose scores it says nothing.
        abstention: Abstention bands by head; empty where the model never abstains.
        assessment: Areas by kind and adequacy of the slide; empty where it was not assessed.
    """

    frame: SlideFrame
    spec: TileSpec
    heads: tuple[Head, ...]
    threshold: float
    model_sha256: str
    tiles_sha256: str
    warnings: tuple[str, ...]
    synthetic_model: bool
    reliability: tuple[ReliabilityStep, ...] = ()
    abstention: Mapping[str, AbstentionBand] = field(default_factory=dict[str, AbstentionBand])
    slide_fingerprint: str = ""
    slide_threshold: float | None = None
    count: int = 0
    slide_score_rule: SlideScoreRule | None = None
    assessment: Mapping[str, object] = field(default_factory=dict[str, object])

    def reliability_step(self, score: float) -> ReliabilityStep | None:
        """The step of the reliability diagram that a score falls into."""
        return next(
            (step for step in self.reliability if step.low <= score < step.high or score == step.high == 1.0),
            None,
        )

    @property
    def head(self) -> Head:
        """The flagging head."""
        return flagging_head(self.heads)

    @property
    def side_l0_px(self) -> tuple[float, float]:
        """Width and height of a tile in (fractional) level-0 pixels."""
        return self.spec.side_um / self.frame.mpp.x, self.spec.side_um / self.frame.mpp.y


@dataclass(frozen=True, slots=True)
class ScoredSlide:
    """Scores of one slide's tiles, in the order of the table.

    Attributes:
        facts: Facts about the scores.
        x_l0_px: Left edges in level-0 pixels, shape [n].
        y_l0_px: Top edges in level-0 pixels, shape [n].
        scores: By column name ``p.<head>.<class>``, 0 to 1, each of shape [n].
        flagged: Per tile, whether its score reaches the operating point, shape [n].
        cluster_ids: Per tile, the cluster it was placed for; empty where the slide was tiled by a grid.
        spread: Standard deviation of the models' scores of an ensemble, shape [n]; None of one network.
    """

    facts: ScoreFacts
    x_l0_px: IntArray
    y_l0_px: IntArray
    scores: Mapping[str, FloatArray]
    flagged: MaskArray
    cluster_ids: tuple[int, ...] = ()
    spread: npt.NDArray[np.float32] | None = None

    def spread_at(self, row: int) -> float | None:
        """The spread of a tile; None where one network scored it."""
        return None if self.spread is None else float(self.spread[row])

    def renamed(self, name: str) -> "ScoredSlide":
        """The same slide under another name."""
        frame = replace(self.facts.frame, slide_id=name)
        return replace(self, facts=replace(self.facts, frame=frame))

    @property
    def flag_scores(self) -> FloatArray:
        """Score of the flag class per tile, 0 to 1, shape [n]."""
        head = self.facts.head
        return self.scores[score_column(head.name, cast(str, head.flag_class))]

    @property
    def flag_margins(self) -> FloatArray:
        """Logit of the score per tile, by which regions are ranked, shape [n]; see :func:`flag_margins`."""
        return flag_margins(self.scores, self.facts.head)


def flag_margins(scores: Mapping[str, FloatArray], head: Head) -> FloatArray:
    """Logit of the score of the flag class, NaN where there is none, float64 [n].

    From the scores of the other classes, which keep their digits where the flag class's is 1 in single precision: places do not
    tie there.

    Args:
        scores: By column name, 0 to 1, shape [n] each.
        head: The flagging head.
    """
    flag = np.asarray(scores[score_column(head.name, cast(str, head.flag_class))], np.float64)
    others = [scores[score_column(head.name, name)] for name in head.classes if name != head.flag_class]
    rest = np.sum(np.asarray(others, np.float64), axis=0)
    return np.log(np.maximum(flag, _TINY)) - np.log(np.maximum(rest, _TINY))


def scored_slide(scores: SlideScores, footer: Mapping[str, object], source: str) -> ScoredSlide:
    """Convert a slide's scores and their footer.

    Args:
        scores: The table.
        footer: Its footer.
        source: Name of the table in messages.

    Raises:
        StorageError: A fact is missing, no operating point is locked for the flagging head, or a score is invalid.
    """
    try:
        columns = {
            score_column(head.name, name): scores.probabilities(head.name, name).astype(np.float64)
            for head in scores.heads
            for name in head.classes
        }
        facts = ScoreFacts(
            frame=_slide_frame(scores.slide),
            spec=scores.spec,
            heads=scores.heads,
            threshold=scores.threshold,
            model_sha256=str(footer["model_sha256"]),
            tiles_sha256=str(footer["tiles_sha256"]),
            warnings=scores.warnings,
            synthetic_model=scores.synthetic_model,
            reliability=()
            if scores.ood_reasons
            else tuple(scores.operating_points[scores.flag_head.name].reliability),
            abstention=scores.abstention,
            slide_fingerprint=str(footer.get("slide_fingerprint") or ""),
            slide_threshold=scores.operating_points[scores.flag_head.name].threshold,
            count=scores.count,
            slide_score_rule=scores.slide_score_rule,
            assessment=scores.assessment,
        )
        flagged = scores.flagged
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise StorageError(
            f"{source}: expected scores with their facts, found {type(error).__name__}: {error}; "
            "run `inkdot predict` again"
        ) from None
    for name, column in columns.items():
        if not np.all((column >= 0.0) & (column <= 1.0)):
            raise StorageError(
                f"{source}: column {name}: expected scores from 0 to 1, found others; run `inkdot predict` again"
            )
    owners = cast("list[int | None]", scores.table.column("cluster_id").to_pylist())
    return ScoredSlide(
        facts=facts,
        x_l0_px=scores.table.column("x_l0_px").to_numpy().astype(np.int64),
        y_l0_px=scores.table.column("y_l0_px").to_numpy().astype(np.int64),
        scores=columns,
        flagged=flagged,
        cluster_ids=tuple(owner for owner in owners if owner is not None),
        spread=scores.spread,
    )


def _slide_frame(facts: Mapping[str, object]) -> SlideFrame:
    numbers = cast("Mapping[str, float]", facts)
    width, height = Level0Px(int(numbers["width_l0_px"])), Level0Px(int(numbers["height_l0_px"]))
    stated = cast("Sequence[int] | None", facts["bounds_l0_px"])
    bounds = BoundsL0(*(Level0Px(int(value)) for value in (stated or (0, 0, width, height))))
    mpp = Mpp(MicrometresPerPixel(float(numbers["mpp_x"])), MicrometresPerPixel(float(numbers["mpp_y"])))
    return SlideFrame(
        slide_id=str(facts["slide_id"]),
        size_l0_px=(width, height),
        mpp=mpp,
        mpp_source=str(facts["mpp_source"]),
        bounds_l0_px=bounds,
        synthetic=bool(facts["synthetic"]),
    )

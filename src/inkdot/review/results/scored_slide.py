"""A slide's scores and the facts they came with, in the form that ranking and pages need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import numpy.typing as npt

from inkdot.storage.model_files import AbstentionBand, ReliabilityStep
from inkdot.storage.tables.scores import SlideScores
from inkdot.errors import StorageError
from inkdot.labels import Head, flagging_head, score_column
from inkdot.records import BoundsL0, MaskArray, Mpp, TileSpec
from inkdot.units import Level0Px, MicrometresPerPixel

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SlideFrame:
    """Size and scale of a slide as recorded with its scores; valid even where the file has gone since.

    Attributes:
        slide_id: Name of the slide.
        size_l0_px: Width and height in level-0 pixels.
        mpp: Micrometres per level-0 pixel.
        mpp_source: ``metadata`` or ``manifest``.
        bounds_l0_px: The scanned part in level-0 pixels: what the file states, else all of it.
        synthetic: The file says that it was made, not scanned.
    """

    slide_id: str
    size_l0_px: tuple[Level0Px, Level0Px]
    mpp: Mpp
    mpp_source: str
    bounds_l0_px: BoundsL0
    synthetic: bool


@dataclass(frozen=True, slots=True)
class ScoreFacts:
    """What a slide's scores mean.

    Attributes:
        frame: Size and scale of the slide.
        spec: Physical scale of the tiles.
        heads: The questions.
        threshold: Locked operating point of the flagging head, 0 to 1; a tile at or above it is flagged.
        model_sha256: Hash of the model that made the scores.
        tiles_sha256: Hash of the tiles they belong to.
        warnings: What a reader must know.
        synthetic_model: The model was trained on synthetic specimens.
        reliability: What scores were worth on the model's validation data; empty where it does not say.
        abstention: Which scores are left open, by head; empty where the model verdicts always.
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

    def worth(self, score: float) -> ReliabilityStep | None:
        """What validation regions with such a score turned out to be."""
        return next(
            (step for step in self.reliability if step.low <= score < step.high or score == step.high == 1.0),
            None,
        )

    @property
    def head(self) -> Head:
        """The question that ranks and flags."""
        return flagging_head(self.heads)

    @property
    def side_l0_px(self) -> tuple[float, float]:
        """Width and height of a tile in (fractional) level-0 pixels."""
        return self.spec.side_um / self.frame.mpp.x, self.spec.side_um / self.frame.mpp.y


@dataclass(frozen=True, slots=True)
class ScoredSlide:
    """Scores of one slide's tiles, in the order of the table.

    Attributes:
        facts: What the scores mean.
        x_l0_px: Left edges in level-0 pixels, shape [n].
        y_l0_px: Top edges in level-0 pixels, shape [n].
        scores: By column name ``p.<head>.<class>``, 0 to 1, each of shape [n].
        flagged: Per tile, whether its score reaches the operating point, shape [n].
        cluster_ids: Per tile, the cluster it was placed for; empty where the grid was cut.
    """

    facts: ScoreFacts
    x_l0_px: IntArray
    y_l0_px: IntArray
    scores: Mapping[str, FloatArray]
    flagged: MaskArray
    cluster_ids: tuple[int, ...] = ()

    def called(self, name: str) -> "ScoredSlide":
        """The same slide under another name, for what is handed over."""
        frame = replace(self.facts.frame, slide_id=name)
        return replace(self, facts=replace(self.facts, frame=frame))

    @property
    def flag_scores(self) -> FloatArray:
        """Score of the flag class per tile, 0 to 1, shape [n]."""
        head = self.facts.head
        return self.scores[score_column(head.name, cast(str, head.flag_class))]


def scored_slide(scores: SlideScores, footer: Mapping[str, object], source: str) -> ScoredSlide:
    """A slide's scores as read, and their footer, in the form of this package.

    Args:
        scores: The table.
        footer: Its footer.
        source: What messages call the table.

    Raises:
        StorageError: A fact is missing, no operating point is locked for the flagging head, or a score is none.
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
            threshold=scores.operating_points[scores.flag_head.name].threshold,
            model_sha256=str(footer["model_sha256"]),
            tiles_sha256=str(footer["tiles_sha256"]),
            warnings=scores.warnings,
            synthetic_model=scores.synthetic_model,
            reliability=tuple(scores.operating_points[scores.flag_head.name].reliability),
            abstention=scores.abstention,
        )
        flagged = scores.flagged
    except (KeyError, TypeError, ValueError) as error:
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

"""Scored tiles of a slide."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inkdot.labels import Head, flagging_head, score_column, score_columns
from inkdot.records import TileSpec
from inkdot.storage.models.model_records import AbstentionBand, OperatingPoint
from inkdot.storage.models.slide_score_rule import SlideScoreRule
from inkdot.storage.record_json import heads_from_json, tile_spec_from_json
from inkdot.storage.schemas import SCORES_VERSION, scores_schema
from inkdot.storage.tables.parquet_tables import check_columns, checked_footer, read_table, texts_of

MEMBER_SLIDE_SCORES: Final = "member_slide_scores"
UNSEEN: Final = "unseen"
OOD_CALLS: Final = "ood_calls"
MIL_SCORE: Final = "mil_score"
"""Entries of the footer, see :class:`SlideScores`; ``ood_calls`` is ``abstain`` or ``keep``."""


@dataclass(frozen=True, slots=True)
class SlideScores:
    """``scores/<slide_id>.parquet``, read.

    Attributes:
        table: One row per tile; columns of :func:`inkdot.storage.schemas.scores_schema`.
        slide: Metadata of the slide, see :func:`inkdot.storage.record_json.slide_info_json`.
        heads: The heads.
        spec: Side and scale of the tiles.
        operating_points: Operating points of the model, by head: thresholds for the score of a slide. :attr:`threshold` is what a
            tile or cluster of this slide must reach.
        warnings: Warnings that go with every output.
        synthetic_model: The model was trained on synthetic specimens.
        assessment: Assessable areas and adequacy of the slide, from the tile table.
        abstention: Abstention band by head; empty where the model never abstains.
        member_slide_scores: Score (0 to 1) of the slide by each member of an ensemble with attention; else empty.
        ood_reasons: Why the slide is unlike those of training; empty where nothing says so. What was measured on validation
            slides need not hold for it.
        keep_ood_calls: A slide with such a reason gets its call all the same; so in tables made before there was a choice.
        mil_score: Score (0 to 1) of the slide by a transformer over its tiles; None where it is made from those of tiles.
        slide_score_rule: How the slide's score follows from that of its highest cluster and their number; None where it is that
            score, or by attention.
    """

    table: pa.Table
    slide: Mapping[str, object]
    heads: tuple[Head, ...]
    spec: TileSpec
    operating_points: Mapping[str, OperatingPoint]
    warnings: tuple[str, ...]
    synthetic_model: bool
    assessment: Mapping[str, object] = field(default_factory=dict[str, object])
    abstention: Mapping[str, AbstentionBand] = field(default_factory=dict[str, AbstentionBand])
    member_slide_scores: tuple[float, ...] = ()
    ood_reasons: tuple[str, ...] = ()
    keep_ood_calls: bool = True
    mil_score: float | None = None
    slide_score_rule: SlideScoreRule | None = None

    @property
    def flag_head(self) -> Head:
        """The head whose score ranks regions."""
        return flagging_head(self.heads)

    def probabilities(self, head: str, class_name: str) -> npt.NDArray[np.float32]:
        """Probability (0 to 1) of a class per tile, shape [tiles]."""
        return self.table.column(score_column(head, class_name)).to_numpy()

    @property
    def flag_scores(self) -> npt.NDArray[np.float32]:
        """The ranking score (0 to 1) per tile, shape [tiles]."""
        head = self.flag_head
        return self.probabilities(head.name, cast(str, head.flag_class))

    @property
    def spread(self) -> npt.NDArray[np.float32] | None:
        """Standard deviation of the ranking score over the members of an ensemble, shape [tiles]; None of one network."""
        return self.table.column("spread").to_numpy() if "spread" in self.table.column_names else None

    @property
    def count(self) -> int:
        """Number of clusters with tiles of their own; of tiles where the slide was tiled on the grid."""
        owners = self.table.column("cluster_id")
        return self.table.num_rows if owners.null_count else len(owners.unique())

    @property
    def threshold(self) -> float:
        """The score (0 to 1) from which a tile or cluster of this slide is flagged.

        The locked operating point, or, with a correction for the count, the score that reaches it on a slide of so many.
        """
        locked = self.operating_points[self.flag_head.name].threshold
        return (
            locked
            if self.slide_score_rule is None
            else self.slide_score_rule.threshold_at(locked, self.count)
        )

    @property
    def flagged(self) -> npt.NDArray[np.bool_]:
        """Whether the score of each tile reaches :attr:`threshold`, shape [tiles]."""
        return self.flag_scores >= np.float32(self.threshold)


def read_scores(path: Path) -> SlideScores:
    """Read one slide's scores.

    Raises:
        StorageError: The file is missing or damaged, of another version, or a footer entry is missing or invalid.
    """
    table, footer = read_table(path, SCORES_VERSION)
    with checked_footer(path, "scored tiles"):
        expected = scores_schema(heads_from_json(footer["heads"]), ensemble="spread" in table.column_names)
        check_columns(path, table, expected, SCORES_VERSION)
        return _slide_scores(table, footer)


def _slide_scores(table: pa.Table, footer: Mapping[str, object]) -> SlideScores:
    points = cast("Mapping[str, object]", footer["operating_points"])
    distant = ood_warnings(table, footer.get("distance_limit"))
    for column in score_columns(heads_from_json(footer["heads"])):
        values = table.column(column).to_numpy()
        if not ((values >= 0.0) & (values <= 1.0)).all():
            raise ValueError(f"column {column}: expected scores from 0 to 1, found others")
    return SlideScores(
        table=table,
        slide=cast("Mapping[str, object]", footer["slide"]),
        heads=heads_from_json(footer["heads"]),
        spec=tile_spec_from_json(footer["tile_spec"]),
        operating_points={name: OperatingPoint.model_validate(point) for name, point in points.items()},
        warnings=(
            *texts_of(footer, "warnings"),
            *distant,
        ),
        synthetic_model=bool(footer["synthetic_model"]),
        assessment=cast("Mapping[str, object]", footer.get("assessment") or {}),
        abstention={
            name: AbstentionBand.model_validate(own)
            for name, own in cast("Mapping[str, object]", footer.get("abstention") or {}).items()
        },
        member_slide_scores=tuple(cast("list[float]", footer.get(MEMBER_SLIDE_SCORES) or [])),
        ood_reasons=(*(texts_of(footer, UNSEEN) if footer.get(UNSEEN) else []), *distant),
        keep_ood_calls=footer.get(OOD_CALLS) != "abstain",
        mil_score=cast("float | None", footer.get(MIL_SCORE)),
        slide_score_rule=SlideScoreRule.model_validate(footer["slide_score_rule"])
        if footer.get("slide_score_rule")
        else None,
    )


def ood_warnings(table: pa.Table, limit: object) -> list[str]:
    """A warning where the median OOD distance of the tiles is above the limit of the model."""
    distances = table.column("ood_distance").drop_null().to_numpy()
    if not isinstance(limit, float) or not len(distances) or float(np.median(distances)) <= limit:
        return []
    return [
        f"out of distribution (OOD): expected a median OOD distance of at most {limit:.2f} from the training slides, found "
        f"{float(np.median(distances)):.2f}; its scores may be wrong"
    ]

"""Scored slides made in memory."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from inkdot.labels import DEFAULT_HEADS
from inkdot.records import BoundsL0, Mpp, TileSpec
from inkdot.review.results.scored_slide import ScoredSlide, ScoreFacts, SlideFrame
from inkdot.units import Level0Px, MicrometresPerPixel, TilePx

MakeSlide = Callable[..., ScoredSlide]


@pytest.fixture(scope="session")
def make_slide() -> MakeSlide:
    """A scored slide of given positions and flag scores."""

    def make(
        positions: Sequence[tuple[int, int]],
        flag_scores: Sequence[float],
        *,
        slide_id: str = "slide",
        mpp: tuple[float, float] = (0.5, 0.5),
        side_px: int = 100,
        tile_mpp: float = 0.5,
        threshold: float = 0.5,
        bounds: tuple[int, int, int, int] = (0, 0, 10_000, 8_000),
        warnings: tuple[str, ...] = (),
        synthetic_model: bool = False,
    ) -> ScoredSlide:
        flag = np.asarray(flag_scores, dtype=np.float64)
        frame = SlideFrame(
            slide_id=slide_id,
            size_l0_px=(Level0Px(10_000), Level0Px(8_000)),
            mpp=Mpp(MicrometresPerPixel(mpp[0]), MicrometresPerPixel(mpp[1])),
            mpp_source="metadata",
            bounds_l0_px=BoundsL0(*(Level0Px(value) for value in bounds)),
            synthetic=False,
        )
        facts = ScoreFacts(
            frame=frame,
            spec=TileSpec(TilePx(side_px), MicrometresPerPixel(tile_mpp), TilePx(side_px)),
            heads=DEFAULT_HEADS,
            threshold=threshold,
            model_sha256="m" * 64,
            tiles_sha256="t" * 64,
            warnings=warnings,
            synthetic_model=synthetic_model,
        )
        return ScoredSlide(
            facts=facts,
            x_l0_px=np.asarray([x for x, _ in positions], dtype=np.int64),
            y_l0_px=np.asarray([y for _, y in positions], dtype=np.int64),
            scores={
                "p.malignancy.benign": 1 - flag,
                "p.malignancy.malignant": flag,
                "p.morphology.small_cell": np.full(len(flag), 0.75),
                "p.morphology.large_cell": np.full(len(flag), 0.25),
            },
            flagged=flag >= threshold,
        )

    return make

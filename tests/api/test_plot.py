"""Images drawn in Python are those that `inkdot predict` writes, and the card shows the cluster."""

import numpy as np
import openslide
import pytest
from PIL import Image

import inkdot
from inkdot.errors import UserError
from inkdot.storage.layout import RunLayout

pytestmark = pytest.mark.slow  # each compares with a run of the commands


@pytest.fixture(scope="module")
def read_back(command_results: RunLayout) -> inkdot.SlidePrediction:
    results = inkdot.read_results(command_results.root)
    return next(iter(results.values()))


def test_the_heat_map_and_the_overview_are_those_of_the_command(
    prediction: inkdot.SlidePrediction, read_back: inkdot.SlidePrediction, command_results: RunLayout
) -> None:
    name = prediction.slide_id
    written = np.asarray(Image.open(command_results.heat_map(name)).convert("RGB")).astype(int)
    for source in (prediction, read_back):
        drawn = np.asarray(inkdot.plot.heatmap(source)).astype(int)
        assert drawn.shape == written.shape
        assert np.abs(drawn - written).max() <= 3  # the file keeps 64 greys
    overview = np.asarray(inkdot.plot.overview(prediction)).astype(int)
    jpeg = np.asarray(Image.open(command_results.overview(name)).convert("RGB")).astype(int)
    assert overview.shape == jpeg.shape
    assert np.abs(overview - jpeg).mean() < 3


def test_images_shrink_on_request(prediction: inkdot.SlidePrediction) -> None:
    width, height = prediction.reviewed.slide.facts.frame.size_l0_px
    small, large = (inkdot.plot.heatmap(prediction, max_side=side) for side in (300, 1200))
    assert large.width == round(1200 * width / max(width, height))
    assert (
        small.height < large.height - 600
    )  # the caption below is as high on both, or higher on the narrow one
    with pytest.raises(UserError, match="expected at least 1"):
        inkdot.plot.overview(prediction, max_side=0)


def test_the_card_shows_the_cluster_close_up(prediction: inkdot.SlidePrediction) -> None:
    card = np.asarray(inkdot.plot.cluster_card(prediction, rank=1))
    region = prediction.ranking(1).regions[0]
    view = region.view
    assert view is not None
    synthetic_banner = card.shape[0] - 480 > 60
    assert synthetic_banner
    with openslide.OpenSlide(prediction.entry.path) as slide:
        mpp = float(slide.properties[openslide.PROPERTY_NAME_MPP_X])
        side = round(view.side_um / mpp)
        close = slide.read_region((view.x_l0_px, view.y_l0_px), 0, (side, side)).convert("RGB")
    expected = np.asarray(close.resize((480, 480), Image.Resampling.LANCZOS)).astype(int)
    top = _row_of(card, expected)
    assert np.abs(card[top : top + 480, :480].astype(int) - expected).mean() < 4


def _row_of(card: np.ndarray, expected: np.ndarray) -> int:
    """Row at which the images begin: below the line that says SYNTHETIC."""
    return min(
        range(60), key=lambda row: int(np.abs(card[row : row + 480, :480].astype(int) - expected).mean())
    )


def test_a_rank_that_is_not_there_is_refused(prediction: inkdot.SlidePrediction) -> None:
    for rank, expected in ((0, "at least 1"), (100_000, "1 to [1-9]")):
        with pytest.raises(UserError, match=f"^rank: expected {expected}.*, found {rank}$"):
            inkdot.plot.cluster_card(prediction, rank=rank)

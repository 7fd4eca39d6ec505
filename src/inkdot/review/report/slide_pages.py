"""What a report reads of a slide: its results, its highest places, and their images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from inkdot.errors import UserError
from inkdot.records import SlideEntry
from inkdot.review.gallery.card_images import crop_to_bounds, jpeg_bytes
from inkdot.review.gallery.fields import OVERVIEW_PX, tile_field
from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.report.page import PagePlace
from inkdot.review.report.words import counted, plain_line
from inkdot.review.results.ranking import Region
from inkdot.review.verdicts.csv_cells import plain_text
from inkdot.slides.unchanged import open_unchanged
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.model_files import model_sha256, read_model_file
from inkdot.storage.schemas import SCORES_VERSION
from inkdot.storage.tables.parquet_tables import read_footer
from inkdot.tiling.tile_pixels import read_tile


def model_names(folder: Path, source: RunLayout, rows: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Name of a model, and what it was trained on, by its hash.

    Args:
        folder: The model.
        source: Results that it made.
        rows: Rows of ``predictions.csv`` by slide.

    Raises:
        UserError: The results are another model's.
    """
    own = model_sha256(folder)
    for name, row in rows.items():
        path = source.scores(plain_text(name))
        if row["outcome"] != "done" or not path.exists():
            continue
        found = str(read_footer(path, SCORES_VERSION).get("model_sha256", ""))
        if found != own:
            raise UserError(
                f"--model {folder}: expected the model of the results ({found[:12]}…), found another ({own[:12]}…); name the one "
                "that predict used"
            )
        break
    trained = read_model_file(folder).trained_on
    words = f"{plain_line(folder.resolve().name)}, trained on {counted(trained.slides, 'image' if trained.images else 'slide')}"
    return {
        own: f"{words} of {counted(trained.patients, 'patient')}{' (synthetic)' if trained.synthetic else ''},"
    }


def highest_places(reviews: Sequence[SlideReview], most: int) -> list[PagePlace]:
    """The places of the highest score over several slides; flagged ones first, since slides differ in what flags."""

    def key(place: PagePlace) -> tuple[bool, float]:
        return not place.region.flagged, -place.region.score

    places = [
        PagePlace(review, region)
        for review in reviews
        if review.ranking is not None
        for region in review.ranking.regions
    ]
    return sorted(places, key=key)[
        :most
    ]  # a stable sort: those of one slide stay in the order of its ranking


def write_images(
    entry: SlideEntry, review: SlideReview, regions: Sequence[Region], number: int, folder: Path
) -> tuple[str, list[str]]:
    """Write the overview of a slide and the images of its places.

    Args:
        entry: The slide.
        review: Its results.
        regions: The places.
        number: Number of the slide on its page, which tells its files from those of others.
        folder: Where to.

    Returns:
        The name of the overview, and those of the places; blank and none for a slide without results.

    Raises:
        SlideError: The slide cannot be read, or is another file than the scored one.
    """
    facts = review.facts
    if facts is None:
        return "", []
    overview = f"overview-{number}.jpg"
    names = [f"place-{number}-{index}.jpg" for index in range(len(regions))]
    with open_unchanged(entry, facts.slide_fingerprint) as opened:
        thumbnail = crop_to_bounds(opened.thumbnail(OVERVIEW_PX), facts.frame)
        (folder / overview).write_bytes(jpeg_bytes(thumbnail))
        for name, region in zip(names, regions, strict=True):
            field = tile_field(region, facts.spec, facts.frame.mpp)
            pixels = read_tile(opened, field.spec, field.x_l0_px, field.y_l0_px)
            (folder / name).write_bytes(jpeg_bytes(pixels))
    return overview, names

"""The slides that a server shows: their regions, images and layers by opaque names."""

import hashlib
import hmac
import json
import zlib
from dataclasses import dataclass, replace
from typing import cast

from inkdot.records import BoundsL0, SlideEntry
from inkdot.review.gallery.card_images import field_image_name, image_name
from inkdot.review.gallery.fields import OVERVIEW_PX, Field, tile_field
from inkdot.review.gallery.gallery import GallerySettings, slide_facts
from inkdot.review.gallery.slide_review import CardImages, SlideReview
from inkdot.review.gallery.unscored import overview_name
from inkdot.review.results.scored_slide import SlideFrame
from inkdot.serve.deep_zoom import TILE_PX, finest_level

IMAGES = "images"
"""Path below which images are served; the page's addresses are relative."""


@dataclass(frozen=True, slots=True)
class ServedSlide:
    """One slide that can be viewed.

    Attributes:
        key: Its name in URLs.
        entry: The slide as the results list it; opened on demand.
        frame: Its size and scale.
        fingerprint: Of its file; blank where it is not known.
        layers: Names of its layers.
    """

    key: str
    entry: SlideEntry
    frame: SlideFrame
    fingerprint: str
    layers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServedRegion:
    """One region that can be reviewed.

    Attributes:
        slide_id: Name of the slide as it is shown.
        geometry: WKT POLYGON in level-0 pixels.
        rank: Number on the card.
        score: Score on the card, 0 to 1; None in a blinded review.
    """

    slide_id: str
    geometry: str
    rank: int
    score: float | None


@dataclass(frozen=True, slots=True)
class ServedImage:
    """One image: a field of a slide, or the whole scanned part of it where ``field`` is None."""

    slide: ServedSlide
    field: Field | None


class ServedSlides:
    """Slides, added one by one. The cards of each slide are kept compressed: thousands of slides fit in memory.

    Args:
        secret: Makes names of slides and images that nobody can guess who knows what the slides are called.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.reviews: list[SlideReview] = []
        self.facts: dict[str, dict[str, object]] = {}
        self.slides: dict[str, ServedSlide] = {}
        self.regions: dict[str, ServedRegion] = {}
        self.images: dict[str, ServedImage] = {}
        self.packed_regions: dict[str, bytes] = {}

    def add(
        self, review: SlideReview, entry: SlideEntry, layers: tuple[str, ...], settings: GallerySettings
    ) -> None:
        """Name a slide's regions and images, and compress its cards until they are requested."""
        slide = None
        scored = review.facts
        frame = review.frame if scored is None else scored.frame
        if frame is not None:
            key = self._key("slide", review.slide_id)
            fingerprint = review.file_fingerprint if scored is None else scored.slide_fingerprint
            layers = () if scored is None else layers
            slide = self.slides[key] = ServedSlide(key, entry, frame, fingerprint, layers)
            review = self._with_images(review, slide)
        facts = slide_facts(review, settings)
        facts.pop("geojson", None)  # that file belongs to the export
        regions = cast("list[dict[str, object]]", facts.pop("regions"))
        self.regions |= _named_regions(review.slide_id, regions)
        facts["region_keys"] = [region["key"] for region in regions]
        if settings.blinded_seed is None:
            facts["flagged_regions"] = sum(bool(region["flagged"]) for region in regions)
        if slide is not None:
            facts["view"] = _view_facts(slide)
            text = json.dumps(regions, ensure_ascii=False, separators=(",", ":"))
            self.packed_regions[slide.key] = zlib.compress(text.encode("utf-8"))
        self.facts[review.slide_id] = facts
        self.reviews.append(replace(review, ranking=None, images=()))

    def _key(self, *parts: str) -> str:
        text = json.dumps(parts, ensure_ascii=False).encode("utf-8")
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()[:32]

    def _image(self, name: str, slide: ServedSlide, field: Field | None) -> str:
        """List an image under a name of its own."""
        key = f"{self._key('image', name)}.jpg"
        self.images[key] = ServedImage(slide, field)
        return key

    def _with_images(self, review: SlideReview, slide: ServedSlide) -> SlideReview:
        """The review with names of its images, which are read from the slide on demand."""
        facts, frame = review.facts, slide.frame
        named: list[CardImages] = []
        if facts is None:
            overview = overview_name(review)
        else:
            identity = (review.slide_id, facts.tiles_sha256)
            for region in review.ranking.regions if review.ranking else ():
                field = tile_field(region, facts.spec, frame.mpp)
                named.append(CardImages(self._image(field_image_name(identity, field), slide, field), ""))
            overview = image_name(*identity, "overview", OVERVIEW_PX)
        return replace(
            review,
            images=tuple(named),
            overview=self._image(overview, slide, None),
            overview_size_px=_overview_size(frame.size_l0_px, frame.bounds_l0_px),
        )


def _overview_size(size_l0_px: tuple[int, int], bounds: BoundsL0) -> tuple[int, int]:
    scale = min(1.0, OVERVIEW_PX / max(size_l0_px))
    return max(1, round(bounds.width_l0_px * scale)), max(1, round(bounds.height_l0_px * scale))


def _named_regions(name: str, regions: list[dict[str, object]]) -> dict[str, ServedRegion]:
    """Regions of a slide by a new key, which is also written into ``regions``.

    Keys are hashes of what is shown, not of the slide's real name, which could be guessed. They must not change between
    versions, since stored verdicts are found by them: hence "place", the word of the first version.
    """
    named: dict[str, ServedRegion] = {}
    for region in regions:
        outline = str(region["polygon"])
        key = region["key"] = _short_hash("place", name, outline)
        region.pop("context", None)  # the viewer shows the surroundings
        score = cast("float | None", region.get("score"))
        named[key] = ServedRegion(name, outline, cast(int, region["rank"]), score)
    return named


def _view_facts(slide: ServedSlide) -> dict[str, object]:
    """What the viewer needs of a slide."""
    width, height = slide.frame.size_l0_px
    return {
        "slide": slide.key,
        "width": width,
        "height": height,
        "tile_px": TILE_PX,
        "finest_level": finest_level((width, height)),
        "layers": slide.layers,
    }


def _short_hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8")).hexdigest()[:24]

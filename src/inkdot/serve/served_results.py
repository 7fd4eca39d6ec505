"""What a server shows of a results folder, read once at its start: slides, regions and images by opaque names.

Everything a browser may request is in a table here. A name in a URL is looked up in it and never becomes part of a path,
so no request can reach other files.
"""

import secrets
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from inkdot.config import DEFAULT_CATEGORIES, ReviewConfig, SlideCategory
from inkdot.errors import StorageError
from inkdot.labels import DEFAULT_HEADS, Head
from inkdot.manifest import read_slides
from inkdot.records import SlideEntry
from inkdot.review.active_learning.query_list import MAX_REGIONS_PER_SLIDE, read_query_list
from inkdot.review.gallery.gallery import GallerySettings, display_order, frame_facts
from inkdot.review.gallery.patients import with_patients
from inkdot.review.gallery.pseudonyms import shown_names
from inkdot.review.gallery.read_review import read_review
from inkdot.review.gallery.shareable_text import shareable_review
from inkdot.review.gallery.slide_cases import case_panels
from inkdot.review.gallery.slide_review import SlideReview, slide_order
from inkdot.review.gallery.unscored import with_file_frame
from inkdot.serve.served_slides import IMAGES, ServedImage, ServedRegion, ServedSlide, ServedSlides
from inkdot.storage.layout import RunLayout
from inkdot.storage.tables.predictions import read_predictions, spreadsheet_safe
from inkdot.storage.verdict_schema import Study


@dataclass(frozen=True, slots=True)
class ServedResults:
    """Everything a server shows.

    Attributes:
        facts: Content of the pages, without verdicts; of regions only their keys.
        heads: The heads.
        study: The study that verdicts are stored under.
        slides: By their names in URLs.
        regions: By their keys.
        images: By their file names.
        packed_regions: Compressed cards of each slide, by its name in URLs; see :meth:`regions_json`.
        problems: Slides without scores, and why.
        case_notes: What of the cases does not fit to the slides, one line each.
        layout: The results folder.
        sizes_l0_px: Width and height in level-0 pixels of every slide by its name as it is shown; None of one that cannot be
            viewed.
        categories: What readers may say about a slide.
    """

    facts: Mapping[str, object]
    heads: tuple[Head, ...]
    study: Study
    slides: Mapping[str, ServedSlide]
    regions: Mapping[str, ServedRegion]
    images: Mapping[str, ServedImage]
    packed_regions: Mapping[str, bytes]
    problems: Mapping[str, str]
    layout: RunLayout
    sizes_l0_px: Mapping[str, tuple[int, int] | None]
    categories: Sequence[SlideCategory] = DEFAULT_CATEGORIES
    case_notes: tuple[str, ...] = ()

    def regions_json(self, slide: str) -> bytes:
        """The cards of one slide, a JSON list in their order.

        Args:
            slide: Its name in URLs.
        """
        return zlib.decompress(self.packed_regions[slide])

    @property
    def blinded(self) -> bool:
        """Whether scores and calls are hidden."""
        return self.study.shown == "blinded"


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How results are shown.

    Attributes:
        top_n: Regions per slide; the default of :class:`inkdot.config.ReviewConfig` where None.
        blinded_seed: For reader studies: hide the model's output and shuffle by this seed.
        slides: Only these slides, in this order, as a reading of a study says; all by priority where None.
        order_seed: Name of that reading in stored answers; of its own blinded order where blank.
        pseudonymise: Show slides under random pseudonyms; ``pseudonyms.csv`` in the results folder leads back.
        annotations: Offer the annotations named in the results' ``slides.csv`` as a layer.
        query_list: A list of ``inkdot review next``: its regions are shown, in its order, instead of the highest scores.
        categories: What readers may say about a slide, in the words of the laboratory.
        cases: ``cases.csv``, for a panel beside each slide; a blinded review has none.
        ranges: Reference ranges of the laboratory for the panel; the published ones where None.
        secret: Makes names in URLs that nobody can guess; the same secret makes the same names.
    """

    top_n: int | None = None
    blinded_seed: int | None = None
    slides: tuple[str, ...] | None = None
    order_seed: str = ""
    pseudonymise: bool = False
    annotations: bool = False
    query_list: Path | None = None
    categories: Sequence[SlideCategory] = DEFAULT_CATEGORIES
    cases: Path | None = None
    ranges: Path | None = None
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)


def served_results(
    results: Path, settings: ServeSettings, on_slide: Callable[[int, int], None] | None = None
) -> ServedResults:
    """Rank the regions of every slide of a results folder and name everything that may be requested.

    Args:
        results: The folder.
        settings: How it is shown.
        on_slide: Called with the slides read so far, and all there are.

    Raises:
        StorageError: The folder is not one, or holds scores of two models.
    """
    layout = RunLayout(results)
    rows = {row["slide_id"]: row for row in read_predictions(layout.predictions_csv)}
    entries = _chosen(read_slides(layout.slides_csv, heads=()), settings)  # the label columns are not needed
    names = shown_names(layout, entries, pseudonymise=settings.pseudonymise)
    panels, case_notes = case_panels(
        settings.cases,
        entries,
        ranges=settings.ranges,
        blinded=settings.blinded_seed is not None,
        pseudonymise=settings.pseudonymise,
    )
    config = ReviewConfig() if settings.top_n is None else ReviewConfig(top_n=settings.top_n)
    most = config.top_n if settings.query_list is None else MAX_REGIONS_PER_SLIDE
    distance = config.min_distance_fraction
    gallery = GallerySettings(IMAGES, settings.blinded_seed, settings.categories)
    found = ServedSlides(settings.secret)
    queries = _query_regions(settings.query_list)
    for number, entry in enumerate(entries):
        if on_slide is not None:
            on_slide(number, len(entries))
        if queries is not None and entry.slide_id not in queries:
            continue
        name = names[entry.slide_id]
        row = rows.get(spreadsheet_safe(entry.slide_id), {})
        review = read_review(layout, entry, name, row, top_n=most, min_distance_fraction=distance)
        if queries is not None:
            review = _only_queries(review, queries[entry.slide_id])
        review = with_file_frame(review, entry)
        if settings.pseudonymise or settings.blinded_seed is not None:
            review = shareable_review(review, blinded=settings.blinded_seed is not None)
        review = replace(review, case_panel=panels.get(entry.slide_id, ()))
        found.add(review, entry, _layers(entry, layout, settings), gallery)
    heads = _only_model(found.reviews)
    frame = frame_facts(found.reviews, gallery)
    shown = with_patients(
        slide_order(found.reviews),
        entries,
        names,
        pseudonymise=settings.pseudonymise,
        blinded=settings.blinded_seed is not None,
    )
    for review in shown:
        found.facts[review.slide_id] |= {"patient": review.patient, "stain": review.stain}
    ordered = display_order(shown, gallery)
    study = Study(
        model_sha256=str(frame["model_sha256"]),
        shown="scores" if settings.blinded_seed is None else "blinded",
        order_seed=settings.order_seed
        or ("" if settings.blinded_seed is None else str(settings.blinded_seed)),
    )
    if settings.slides is not None:
        position = {names[slide_id]: number for number, slide_id in enumerate(settings.slides)}
        ordered = sorted(ordered, key=lambda review: position[review.slide_id])
    return ServedResults(
        facts=frame | {"slides": [found.facts[review.slide_id] for review in ordered]},
        heads=heads,
        study=study,
        slides=found.slides,
        regions=found.regions,
        images=found.images,
        packed_regions=found.packed_regions,
        problems={review.slide_id: review.problem for review in ordered if review.problem},
        layout=layout,
        sizes_l0_px={review.slide_id: _size_l0_px(review) for review in ordered},
        categories=settings.categories,
        case_notes=tuple(case_notes),
    )


def _size_l0_px(review: SlideReview) -> tuple[int, int] | None:
    frame = review.facts.frame if review.facts else review.frame
    return frame.size_l0_px if frame else None


def _chosen(entries: Sequence[SlideEntry], settings: ServeSettings) -> list[SlideEntry]:
    """The slides to show; in the order of a reading of a study where there is one.

    Raises:
        StorageError: A slide of the study is not in the results.
    """
    if settings.slides is None:
        return list(entries)
    known = {entry.slide_id: entry for entry in entries}
    if missing := [name for name in settings.slides if name not in known]:
        raise StorageError(
            f"expected the slides of the study in the results, found no {missing[0]!r}; serve the results that the study was "
            "made from"
        )
    return [known[name] for name in settings.slides]


def _query_regions(path: Path | None) -> dict[str, list[str]] | None:
    """Outlines of a query list by slide, in its order; None without a list."""
    if path is None:
        return None
    outlines: dict[str, list[str]] = {}
    for slide_id, outline in read_query_list(path):
        outlines.setdefault(slide_id, []).append(outline)
    return outlines


def _only_queries(review: SlideReview, outlines: Sequence[str]) -> SlideReview:
    """The review with only the listed regions, numbered in the order of the list."""
    if review.ranking is None:
        return review
    known = {region.wkt: region for region in review.ranking.regions}
    regions = [known[outline] for outline in dict.fromkeys(outlines) if outline in known]
    numbered = tuple(replace(region, rank=rank) for rank, region in enumerate(regions, start=1))
    missing = len(set(outlines)) - len(regions)
    warnings = (
        (*review.warnings, f"{missing} regions of the list are not in these results")
        if missing
        else review.warnings
    )
    return replace(
        review, ranking=replace(review.ranking, regions=numbered, more_flagged=False), warnings=warnings
    )


def _layers(entry: SlideEntry, layout: RunLayout, settings: ServeSettings) -> tuple[str, ...]:
    """Names of a slide's layers; none in a blinded review, since each hints at the score."""
    if settings.blinded_seed is not None:
        return ()
    offered = {
        "scores": True,
        "clusters": layout.clusters(entry.slide_id).exists(),
        "annotations": settings.annotations and entry.annotation is not None,
    }
    return tuple(name for name, exists in offered.items() if exists)


def _only_model(reviews: Sequence[SlideReview]) -> tuple[Head, ...]:
    """The heads of the one model that made all scores.

    Raises:
        StorageError: The folder holds scores of two models, which cannot be ranked together.
    """
    scored = [review.facts for review in reviews if review.facts is not None]
    if len({facts.model_sha256 for facts in scored}) > 1:
        raise StorageError(
            "expected scores of one model, found those of two; run `inkdot predict` again with one model"
        )
    return scored[0].heads if scored else DEFAULT_HEADS

"""``inkdot review export``: write a folder for the pathologist: the gallery page with its images, a worklist, GeoJSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from rich.console import Console

from inkdot.config import ReviewConfig
from inkdot.errors import StorageError, UserError
from inkdot.execution.runner import print_summary, run_slides
from inkdot.manifest import read_slides
from inkdot.records import RgbArray, Slide, SlideEntry
from inkdot.review.gallery.card_images import (
    NAME,
    crop_to_bounds,
    field_image_name,
    image_name,
    jpeg_bytes,
    jpeg_size,
    provenance,
)
from inkdot.review.gallery.fields import OVERVIEW_PX, Field, context_field, scale_bar, tile_field
from inkdot.review.gallery.gallery import GallerySettings, gallery_facts
from inkdot.review.gallery.page import page_text
from inkdot.review.gallery.patients import with_patients
from inkdot.review.gallery.pseudonyms import (
    find_identifiers,
    identifying_words,
    shown_names,
    shown_reason,
)
from inkdot.review.gallery.read_review import scored_review, unscored_review
from inkdot.review.gallery.shareable_text import shareable_reason, shareable_review
from inkdot.review.gallery.slide_cases import CasePanels, case_panels
from inkdot.review.gallery.slide_review import (
    CardImages,
    SlideReview,
    slide_order,
)
from inkdot.review.gallery.unscored import with_file_overview
from inkdot.review.gallery.worklist import worklist_text
from inkdot.review.qupath_export import refuse_foreign_verdicts, write_geojson, write_qupath_script
from inkdot.review.results.ranking import Region
from inkdot.review.results.read_results import read_slide_results
from inkdot.review.results.scored_slide import ScoreFacts
from inkdot.review.slide_images.caption import with_provenance
from inkdot.review.verdicts.csv_cells import plain_text
from inkdot.slides.unchanged import open_unchanged
from inkdot.storage.atomic import write_bytes, write_text
from inkdot.storage.layout import RunLayout
from inkdot.storage.locking import locked
from inkdot.storage.output_layouts import ReviewLayout
from inkdot.storage.schemas import SCORES_VERSION
from inkdot.storage.tables.parquet_tables import read_footer
from inkdot.storage.tables.predictions import read_predictions, spreadsheet_safe
from inkdot.tiling.tile_pixels import read_tile


def run(
    results: Path,
    out: Path,
    *,
    config: ReviewConfig | None = None,
    top_n: int | None = None,
    blinded_seed: int | None = None,
    pseudonymise: bool = False,
    identifiers: Sequence[str] = (),
    cases: Path | None = None,
    ranges: Path | None = None,
) -> int:
    """Write ``out/index.html`` with its images, ``worklist.csv`` and a GeoJSON file per slide.

    Images of an earlier export are reused, so that an interrupted export continues; the page is written last.

    Args:
        results: Results folder of ``inkdot predict``.
        out: Folder to hand over.
        config: What is shown and asked; the defaults where None.
        top_n: Regions per slide, 1 to 120, instead of those of the config.
        blinded_seed: For reader studies: hide the model's output and shuffle by this seed. Worklist and
            GeoJSON, which hold scores, are then not written.
        pseudonymise: Replace slide names by random pseudonyms; ``pseudonyms.csv`` in the results folder maps them back.
        identifiers: Words that must not occur in the folder, such as names of patients.
        cases: ``cases.csv``, for a panel beside each slide; a blinded export has none.
        ranges: Reference ranges of the laboratory for the panel; the published ones where None.

    Returns:
        0 when every slide is in the page with its images, 1 when some could not be shown and are listed.

    Raises:
        StorageError: The results folder is not one, or holds scores of two models.
        UserError: ``top_n`` is out of range, another run uses ``out``, a blinded export would lie beside
            scores, annotations saved by others would be overwritten, or an identifier was found; the page is then
            deleted.
    """
    source, layout = RunLayout(results), ReviewLayout(out)
    config = _review_config(config or ReviewConfig(), top_n)
    rows = {row["slide_id"]: row for row in read_predictions(source.predictions_csv)}
    _refuse_two_models(source, rows.values())
    entries = read_slides(source.slides_csv, heads=())  # the label columns are not needed
    names = shown_names(source, entries, pseudonymise=pseudonymise)
    blinded = blinded_seed is not None
    panels, case_notes = case_panels(
        cases, entries, ranges=ranges, blinded=blinded, pseudonymise=pseudonymise
    )
    hides_text = blinded or pseudonymise
    reviews: dict[str, SlideReview] = {}
    for entry in entries:
        row = rows.get(spreadsheet_safe(entry.slide_id), {})
        review = unscored_review(entry, names[entry.slide_id], row)
        reviews[entry.slide_id] = shareable_review(review, blinded=blinded) if hides_text else review
    task = _SlideExport(source, layout, config, rows, reviews, names, blinded=blinded, hides_text=hides_text)
    if blinded_seed is not None:
        _refuse_files_with_scores(layout, names.values())
    refuse_foreign_verdicts(layout.geojson(name) for name in names.values())
    with locked(layout.lock):
        analysed = [entry for entry in entries if _was_analysed(entry, rows)]
        summary = run_slides("review", analysed, task, source, workers=1)
        for entry in (entry for entry in analysed if entry.slide_id in summary.failed):
            problem = shown_reason(summary.failed[entry.slide_id], entry, names[entry.slide_id])
            if hides_text:
                problem = shareable_reason(problem, blinded=blinded)
            reviews[entry.slide_id] = replace(reviews[entry.slide_id], problem=problem)
        shown = _completed(reviews, entries, panels, layout.tiles)
        ordered = with_patients(
            slide_order(shown), entries, names, pseudonymise=pseudonymise, blinded=blinded
        )
        settings = GallerySettings(layout.tiles.name, blinded_seed, config.slide_categories)
        _write_page(layout, ordered, settings)
        _check_identifiers(layout, [*identifiers, *(identifying_words(entries) if pseudonymise else ())])
    console = Console(stderr=True)
    print_summary(console, [summary])
    for line in case_notes:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    console.print(f"Open this page: {layout.index.resolve().as_uri()}", soft_wrap=True)
    return 1 if any(review.problem for review in ordered) else 0


def _completed(
    reviews: Mapping[str, SlideReview], entries: Sequence[SlideEntry], panels: CasePanels, images: Path
) -> list[SlideReview]:
    """The slides with their cases, and with an overview where there are no scores but the file opens."""
    found: list[SlideReview] = []
    for entry in entries:
        review = reviews[entry.slide_id]
        if review.facts is None:
            review = with_file_overview(review, entry, images)
        found.append(replace(review, case_panel=panels.get(entry.slide_id, ())))
    return found


def _write_page(layout: ReviewLayout, ordered: Sequence[SlideReview], settings: GallerySettings) -> None:
    """Write the page and the worklist, and delete what only an earlier export showed."""
    for review in ordered:
        if review.ranking is None:
            layout.geojson(review.slide_id).unlink(missing_ok=True)
    if settings.blinded_seed is None:
        write_text(layout.worklist, worklist_text(ordered))
        write_qupath_script(layout.root)
    write_text(layout.index, page_text(gallery_facts(ordered, settings)))
    _drop_other_images(layout, ordered)


def _review_config(config: ReviewConfig, top_n: int | None) -> ReviewConfig:
    try:
        return ReviewConfig.model_validate(config.model_dump() | ({} if top_n is None else {"top_n": top_n}))
    except ValidationError:
        raise UserError(f"--top: expected 1 to 120 regions per slide, found {top_n}") from None


class _SlideExport:
    """Ranks the regions of one slide and writes its images and its GeoJSON file.

    The result goes to ``reviews``; scores and pixels are released, to bound memory.
    """

    def __init__(
        self,
        source: RunLayout,
        layout: ReviewLayout,
        config: ReviewConfig,
        rows: Mapping[str, Mapping[str, str]],
        reviews: dict[str, SlideReview],
        names: Mapping[str, str],
        *,
        blinded: bool,
        hides_text: bool,
    ) -> None:
        self._source = source
        self._layout = layout
        self._config = config
        self._rows = rows
        self._reviews = reviews
        self._names = names
        self._blinded = blinded
        self._hides_text = hides_text

    def __call__(self, entry: SlideEntry) -> Literal["done", "reused"]:
        name = self._names[entry.slide_id]
        reviewed = read_slide_results(self._source, entry.slide_id, name)
        ranking = reviewed.ranking(self._config.top_n, self._config.min_distance_fraction)
        row = self._rows[spreadsheet_safe(entry.slide_id)]
        review = scored_review(reviewed, row, ranking)
        if self._hides_text:
            review = shareable_review(review, blinded=self._blinded)
        if not self._blinded:
            path = self._layout.geojson(name)
            written = write_geojson(path, reviewed, ranking, warnings=review.warnings)
            review = replace(review, geojson_left_out=written.left_out)
        self._reviews[entry.slide_id] = review  # even where the images fail, the regions are listed
        return self._write_images(entry, review, reviewed.slide.facts, ranking.regions)

    def _write_images(
        self, entry: SlideEntry, review: SlideReview, facts: ScoreFacts, regions: Sequence[Region]
    ) -> Literal["done", "reused"]:
        """Write the images that are missing; a name is a hash of the content, so existing files are valid."""
        identity = (review.slide_id, facts.tiles_sha256)
        overview = image_name(*identity, "overview", OVERVIEW_PX)
        fields: dict[str, Field | None] = {overview: None}
        images: list[CardImages] = []
        lines: dict[Field | None, list[str]] = {}
        for region in regions:
            tile, context = (
                field(region, facts.spec, facts.frame.mpp) for field in (tile_field, context_field)
            )
            lines[context] = provenance(review.slide_id, facts, context)
            named = field_image_name((*identity, *lines[context]), context)
            images.append(CardImages(field_image_name(identity, tile), named))
            fields |= {images[-1].tile: tile, images[-1].context: context}
        missing = {name: field for name, field in fields.items() if not (self._layout.tiles / name).exists()}
        if missing:
            with open_unchanged(entry, facts.slide_fingerprint) as opened:
                for name, field in missing.items():
                    pixels = _pixels(opened, facts, field)
                    if field is not None and field in lines:
                        pixels = with_provenance(pixels, scale_bar(float(field.spec.side_um)), lines[field])
                    write_bytes(self._layout.tiles / name, jpeg_bytes(pixels))
        self._reviews[entry.slide_id] = replace(
            review,
            images=tuple(images),
            overview=overview,
            overview_size_px=jpeg_size(self._layout.tiles / overview),
        )
        return "done" if missing else "reused"


def _pixels(opened: Slide, facts: ScoreFacts, field: Field | None) -> RgbArray:
    """Pixels of one field, or of the whole scanned part where None."""
    if field is None:
        return crop_to_bounds(opened.thumbnail(OVERVIEW_PX), facts.frame)
    return read_tile(opened, field.spec, field.x_l0_px, field.y_l0_px)


def _refuse_two_models(source: RunLayout, rows: Iterable[Mapping[str, str]]) -> None:
    """Refuse scores of two models, which cannot be ranked together.

    Raises:
        StorageError: The folder holds such scores.
    """
    model = ""
    paths = [source.scores(plain_text(row["slide_id"])) for row in rows if row["outcome"] == "done"]
    for path in paths:
        if not path.exists():
            continue  # this slide fails later, the others continue
        try:
            footer = read_footer(path, SCORES_VERSION)
        except StorageError:
            continue  # as does this one
        if "model_sha256" not in footer:
            continue
        if model and footer["model_sha256"] != model:
            raise StorageError(
                f"{path}: expected scores of the model that scored the other slides, found another's; "
                "run `inkdot predict` again with one model"
            )
        model = str(footer["model_sha256"])


def _check_identifiers(layout: ReviewLayout, words: Sequence[str]) -> None:
    found = find_identifiers(layout.root, words)
    if found:
        layout.index.unlink(missing_ok=True)
        name, word = found[0]
        raise UserError(
            f"{layout.root}: expected no identifiers in the exported folder, found {word!r} in {name} and {len(found)} in all; "
            "the page was deleted: choose an empty --out, or rename the slides"
        )


def _refuse_files_with_scores(layout: ReviewLayout, names: Iterable[str]) -> None:
    """Refuse a blinded export into a folder with scores of an earlier one."""
    with_scores = [layout.worklist, *(layout.geojson(name) for name in names)]
    found = [path.name for path in with_scores if path.exists()]
    if found:
        raise UserError(
            f"{layout.root}: expected a folder without scores for a blinded export, found {found[0]}; choose another --out"
        )


def _was_analysed(entry: SlideEntry, rows: Mapping[str, Mapping[str, str]]) -> bool:
    row = rows.get(spreadsheet_safe(entry.slide_id))
    return row is not None and row["outcome"] == "done"


def _drop_other_images(layout: ReviewLayout, reviews: Sequence[SlideReview]) -> None:
    """Delete unused images of earlier exports; other files are left alone."""
    shown = {name for r in reviews for p in r.images for name in (p.tile, p.context)} | {
        r.overview for r in reviews
    }
    if not layout.tiles.is_dir():
        return
    for path in layout.tiles.iterdir():
        if NAME.fullmatch(path.name) and path.name not in shown:
            path.unlink()

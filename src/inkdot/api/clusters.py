"""Find the clusters of a slide: what `inkdot tile` writes to ``clusters/``, as an object."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pyarrow as pa
import shapely

from inkdot.api.frames import html_table, to_pandas
from inkdot.api.python_words import python_words
from inkdot.api.settings import as_config
from inkdot.api.slide import Slide, open_slide
from inkdot.config import Config, default_config
from inkdot.errors import ConfigError
from inkdot.manifest import known_preparation
from inkdot.pipeline.measure_slide import largest_first, measure_slide_clusters
from inkdot.pipeline.tile_slide import has_spot
from inkdot.review.wording import RESEARCH_USE
from inkdot.tiling.adequacy import Assessment
from inkdot.tiling.clusters.detect import cell_finder_for
from inkdot.tiling.cut_slide import cut_slide

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Clusters:
    """The clusters of one slide, and what of the slide can be assessed. Made by :func:`find_clusters`.

    Attributes:
        slide_id: The slide.
        table: One row per group of nuclei or lone nucleus, sorted by y then x; columns as in ``clusters/<slide_id>.parquet``.
        tiles: The tiles centred on them; columns as in ``tiles/<slide_id>.parquet``.
        assessment: Nuclei, assessable area in mm², and whether there is enough to judge the slide.
        lymphocytes: The lymphocyte reference of the slide, which nuclear sizes are compared with; empty where nothing was
            measured.
        warnings: What to know before trusting the table.
    """

    slide_id: str
    table: pa.Table
    tiles: pa.Table
    assessment: Assessment
    lymphocytes: Mapping[str, object]
    warnings: tuple[str, ...]

    @property
    def nuclei(self) -> int:
        """Estimated number of nuclei in all clusters."""
        return sum(cast("list[int]", self.table.column("nuclei").to_pylist()))

    @property
    def adequate(self) -> bool:
        """Whether there is enough on the slide to judge it; ``assessment.why`` states what is missing."""
        return self.assessment.adequate

    @property
    def geometries(self) -> list[shapely.Polygon]:
        """Outline of each cluster in level-0 pixels, in the order of the table."""
        outlines = shapely.from_wkt(self.table.column("geometry").to_pylist())
        return cast("list[shapely.Polygon]", list(outlines))

    def to_pandas(self) -> pd.DataFrame:
        """The table as a pandas frame; ``geometry`` is WKT in level-0 pixels.

        Raises:
            UserError: pandas is not installed.
        """
        return to_pandas(self.table)

    def to_arrow(self) -> pa.Table:
        """The table as Arrow."""
        return self.table

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        call = "adequate" if self.adequate else f"inadequate: {self.assessment.why}"
        return f"Clusters({self.slide_id!r}, {len(self)} clusters, {self.nuclei} nuclei, {call})"

    def _repr_html_(self) -> str:
        found = self.assessment
        return html_table(
            {
                "slide": self.slide_id,
                "clusters and lone cells": len(self),
                "nuclei": f"{found.nuclei} ({found.nuclei_in_focus} in focus)",
                "assessable": f"{found.assessable_mm2:.4g} mm²",
                "not assessable": f"{found.unassessable_fraction:.1%}",
                "adequate": "yes" if self.adequate else f"no: {found.why}",
                "warnings": "; ".join(self.warnings),
                "": RESEARCH_USE,
            }
        )


def find_clusters(
    slide: Slide | str | os.PathLike[str],
    preparation: str | None = None,
    *,
    config: Config | str | os.PathLike[str] | None = None,
    measure: bool = True,
) -> Clusters:
    """Find groups of nuclei and lone nuclei, with their outlines, and measure the nuclei of the largest.

    The same functions and settings as `inkdot tile`, so the same table.

    Args:
        slide: An open slide, or a path.
        preparation: thinprep or cytospin: chooses the default settings. The slide's own where None, else thinprep.
        config: Settings of :func:`inkdot.load_config`, or their file, instead of the defaults of the preparation.
        measure: Outline and measure nuclei at full scale, of at most ``config.morphometry.clusters`` clusters.

    Raises:
        ConfigError: The settings cut slides by a grid, as those of sections and smears do: these have no clusters.
        ManifestError: The preparation is not a known one.
        MissingMppError: The slide has no µm/px.
        ResolutionError: The slide is too coarse for the settings.
        NotBrightFieldError: It is no bright-field slide.

    Examples:
        >>> clusters = inkdot.find_clusters(slide)
        >>> clusters.to_pandas().nlargest(5, "nuclei")[["cluster_id", "nuclei", "nucleus_um"]]
    """
    if not isinstance(slide, Slide):
        with open_slide(slide, preparation=preparation) as opened:
            return find_clusters(opened, preparation, config=config, measure=measure)
    with python_words():
        known = known_preparation(preparation) if preparation else slide.entry.preparation or "thinprep"
    settings = default_config(known) if config is None else as_config(config)
    if settings.tiling.mode != "clusters":
        raise ConfigError(
            f"tiling.mode: expected clusters, found {settings.tiling.mode} (preparation {settings.preparation}); "
            "slides cut by a grid have no clusters: choose another preparation or config"
        )
    reader = slide.reader
    stain = slide.entry.stain
    with_spot = has_spot(slide.entry, settings)
    cut = cut_slide(
        reader, settings.tiling, settings.head_records, settings.preparation, stain, with_spot=with_spot
    )
    assert cut.clusters is not None
    table, facts = cut.clusters, dict[str, object]()
    warnings = [*reader.info.warnings, *cut.warnings]
    if measure and settings.morphometry.clusters > 0:
        finder = cell_finder_for(settings.tiling.cell_finder, stain)
        measured = measure_slide_clusters(
            reader, table, largest_first(table), settings.morphometry, finder=finder
        )
        table, facts = measured.table, measured.facts
        warnings += measured.warnings
    return Clusters(
        slide_id=slide.slide_id,
        table=table,
        tiles=cut.tiles,
        assessment=cut.assessment,
        lymphocytes=cast("Mapping[str, object]", facts.get("lymphocyte_reference", {})),
        warnings=tuple(warnings),
    )

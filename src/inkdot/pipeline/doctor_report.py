"""What ``inkdot doctor`` found, as a JSON value, and what it says of the settings it assumed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inkdot.config import Config
from inkdot.geometry import FINEST_UPSAMPLING
from inkdot.pipeline.inspect_slide import SlideInspection
from inkdot.records import SlideEntry

DOCTOR_VERSION: Final = "inkdot.doctor/1"
_OBJECTIVES: Final = ((0.18, 0.33, "40x"), (0.38, 0.66, "20x"), (0.76, 1.3, "10x"))
"""Range of µm/px that scanners name by an objective."""


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """All that was found.

    Attributes:
        config: The settings with which slides would be tiled.
        source: Where they are from, as words.
        entries: The slides.
        slides: What was found of each, in their order.
        notes: Further lines about the cohort, the labels and the disk.
        labels: Head, label, patients and slides of each label.
        machine: Facts about the machine.
    """

    config: Config
    source: str
    entries: Sequence[SlideEntry]
    slides: Sequence[SlideInspection]
    notes: Sequence[str]
    labels: Sequence[Mapping[str, object]]
    machine: Mapping[str, str]

    @property
    def failed(self) -> int:
        """Number of slides that cannot be used."""
        return sum(bool(slide.problem) for slide in self.slides)

    def as_json(self) -> dict[str, object]:
        """The same as a JSON value, described in ``docs/reference/json.md``."""
        tiling = self.config.tiling
        return {
            "version": DOCTOR_VERSION,
            "config": {
                "source": self.source,
                "preparation": self.config.preparation,
                "mode": tiling.mode,
                "side_px": tiling.side_px,
                "mpp": tiling.mpp,
            },
            "usable": len(self.slides) - self.failed,
            "failed": self.failed,
            "slides": [_slide(*pair) for pair in zip(self.entries, self.slides, strict=True)],
            "labels": [dict(label) for label in self.labels],
            "notes": list(self.notes),
            "machine": dict(self.machine),
        }


def _slide(entry: SlideEntry, slide: SlideInspection) -> dict[str, object]:
    info = slide.info
    width, height = info.size_l0_px if info else (None, None)
    mpp = info.mpp if info and slide.mpp_usable else None
    return {
        "slide_id": entry.slide_id,
        "path": str(entry.path),
        "usable": not slide.problem,
        "problem": slide.problem,
        "warnings": list(slide.warnings),
        "vendor": info.vendor if info else None,
        "synthetic": info.synthetic if info else None,
        "width_l0_px": width,
        "height_l0_px": height,
        "levels": len(info.level_sizes_px) if info else None,
        "mpp_x": float(mpp.x) if mpp else None,
        "mpp_y": float(mpp.y) if mpp else None,
        "mpp_source": info.mpp_source if info and mpp else None,
        "stain": entry.stain,
        "preparation": entry.preparation or "",
        "patient_id": entry.patient_id,
        "tiles_at_most": slide.tiles,
        "region_labels": len(slide.labels),
    }


def config_words(path: Path | None, preparation: str | None, changes: Sequence[str]) -> str:
    """Where the settings are from, for people.

    Args:
        path: The config file; None for the default settings.
        preparation: As given by an option; None for the default.
        changes: Values of ``--set``.
    """
    if path is not None:
        words = str(path)
    elif preparation is None:
        words = "none given: the default settings of thinprep are assumed"
    else:
        words = f"none given: the default settings of {preparation}"
    return words + (f", changed by {' '.join(changes)}" if changes else "")


def config_line(source: str, config: Config) -> str:
    """The settings that matter for whether a slide can be used, in one line."""
    tiling = config.tiling
    return (
        f"config: {source} (preparation {config.preparation}; tiles of {tiling.side_px} px at {tiling.mpp:g} µm/px"
        f"{_objective(tiling.mpp)}, mode {tiling.mode})"
    )


def scale_notes(slides: Sequence[SlideInspection], config: Config, *, of_model: bool = False) -> list[str]:
    """What to change where slides are coarser than the settings read, as those of a 20x scanner are with settings for 40x.

    Args:
        slides: What was found of each.
        config: The settings.
        of_model: They are those of a model, whose scale cannot be changed.
    """
    target = config.tiling.mpp
    coarse = [
        (max(slide.info.mpp.x, slide.info.mpp.y), slide)
        for slide in slides
        if slide.info is not None and slide.mpp_usable
    ]
    coarse = [(mpp, slide) for mpp, slide in coarse if mpp / target > FINEST_UPSAMPLING]
    if not coarse:
        return []
    finest, coarsest = min(mpp for mpp, _ in coarse), max(mpp for mpp, _ in coarse)
    span = (
        f"{finest:.3g} µm/px{_objective(finest)}"
        if finest == coarsest
        else f"{finest:.3g} to {coarsest:.3g} µm/px"
    )
    count = f"{len(coarse)} of {len(slides)} slide{'s' if len(slides) > 1 else ''}"
    if of_model:
        remedy = "a model that was trained at their scale is needed"
    else:
        scale = f"{coarsest:.2g}"
        remedy = (
            f"they need other settings, such as tiling.mpp: {scale} in the config (--set tiling.mpp={scale}), and a model "
            "that is trained with these"
        )
    return [
        f"scale: {count} at {span}, too coarse to be read at {target:g} µm/px{_objective(target)}; {remedy}"
    ]


def _objective(mpp: float) -> str:
    name = next((name for low, high, name in _OBJECTIVES if low <= mpp <= high), None)
    return f", as of a {name} scan" if name else ""

"""Metadata of a slide, and a mapping of classes, for annotation files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from inkdot.annotations import Annotation, read_annotation
from inkdot.config import AnnotationConfig
from inkdot.labels import DEFAULT_HEADS
from inkdot.records import BoundsL0, Mpp, SlideInfo
from inkdot.units import Level0Px, LevelPx

DATA = Path(__file__).parent / "data"

MALIGNANT = {"malignancy": "malignant"}
CONFIG = AnnotationConfig(
    classes={
        "Tumor": MALIGNANT,
        "Tumor: large_cell": {**MALIGNANT, "morphology": "large_cell"},
        "Tumor: large cell": {**MALIGNANT, "morphology": "large_cell"},
        "Tumor: small_cell": {**MALIGNANT, "morphology": "small_cell"},
        "Mixed": {**MALIGNANT, "morphology": "mixed"},
        "Benign": {"malignancy": "benign"},
    },
    ignore=["Stroma", "(unclassified)"],
    cut_out=["Exclusion"],
    reader="r1",
)


def info_of(bounds: tuple[int, int, int, int] | None = None, mpp: float = 0.25) -> SlideInfo:
    size = (Level0Px(4000), Level0Px(3000))
    return SlideInfo(
        slide_id="A",
        size_l0_px=size,
        mpp=Mpp.square(mpp),
        mpp_source="metadata",
        level_sizes_px=((LevelPx(4000), LevelPx(3000)),),
        level_downsamples=(1.0,),
        bounds_l0_px=BoundsL0(*(Level0Px(value) for value in bounds)) if bounds else None,
    )


@pytest.fixture(scope="session")
def slide_info() -> Callable[..., SlideInfo]:
    """Makes the metadata of a slide A of 4000 × 3000 px: `slide_info(bounds=(x, y, width, height), mpp=0.25)`."""
    return info_of


@pytest.fixture(scope="session")
def config() -> AnnotationConfig:
    """A mapping for the files of the folder `data`."""
    return CONFIG


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Annotation]:
    """Reads a file of the folder `data`, or text."""

    def reading(
        source: str, *, info: SlideInfo | None = None, config: AnnotationConfig = CONFIG
    ) -> Annotation:
        path = DATA / source
        if len(source) > 40 or not path.is_file():
            path = tmp_path / "annotation.txt"
            path.write_text(source, encoding="utf-8")
        return read_annotation(path, info or info_of(), config, DEFAULT_HEADS)

    return reading

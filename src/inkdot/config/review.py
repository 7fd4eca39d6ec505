"""The config of review pages."""

from typing import Final, Literal, get_args

from pydantic import Field, field_validator

from inkdot.config.strict import Fraction, Strict

Meaning = Literal["nondiagnostic", "negative", "atypical", "suspicious", "malignant"]

MEANINGS: Final[tuple[Meaning, ...]] = get_args(Meaning)
"""What a category of a slide may stand for: the tiers of the reporting systems of cytology (ND, NFM, AUS, SFM, MAL)."""

MAX_CATEGORY_CHARACTERS: Final = 60


class SlideCategory(Strict):
    """A category that readers may give to a slide."""

    name: str = Field(
        min_length=1,
        max_length=MAX_CATEGORY_CHARACTERS,
        description="The laboratory's words, such as NFM or 'negative for malignancy'.",
    )
    means: Meaning = Field(
        description="What it stands for: nondiagnostic, negative, atypical, suspicious or malignant."
    )

    @field_validator("name")
    @classmethod
    def _printable(cls, name: str) -> str:
        if not name.strip() or not name.isprintable():
            raise ValueError(f"expected a name of printable characters, found {name!r}")
        return name


DEFAULT_CATEGORIES: Final = tuple(SlideCategory(name=name, means=name) for name in MEANINGS[1:])


class ReviewConfig(Strict):
    """Content of the review pages."""

    top_n: int = Field(
        default=30, ge=1, le=120, description="Number of regions shown per slide, flagged or not."
    )
    min_distance_fraction: Fraction = Field(
        default=0.75,
        description="Minimum distance of a shown tile from tiles of higher rank, as a fraction (0 to 1) of the tile side.",
    )
    slide_categories: list[SlideCategory] = Field(
        default_factory=lambda: list(DEFAULT_CATEGORIES),
        min_length=2,
        max_length=12,
        description="Categories that readers may give to a slide, in the order of their buttons.",
    )

    @field_validator("slide_categories")
    @classmethod
    def _distinct(cls, categories: list[SlideCategory]) -> list[SlideCategory]:
        names = [category.name for category in categories]
        if len(set(names)) != len(names):
            raise ValueError(f"expected distinct names, found {names}")
        return categories

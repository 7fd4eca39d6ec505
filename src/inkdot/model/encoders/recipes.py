"""Published encoders of pathology and cytology: how they are built, what they were trained on, and what their licence allows.

The facts are in ``recipes.yaml``, each encoder's with the source it was taken from. Nothing is downloaded here.
"""

from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from inkdot.model.encoders.backbone_spec import Pooling

NOT_STATED = "not stated"


class EncoderRecipe(BaseModel):
    """A published encoder.

    Attributes:
        name: As in ``model.backbone``.
        title: As its authors write it.
        domain: What it was trained on: ``cytology`` or ``histology``.
        architecture: timm model name.
        kwargs: Arguments of the architecture that differ from timm's.
        side_px: Side of the input it was published with.
        patch_px: Side of the patches of the transformer.
        mpp: Scales it was trained at, µm/px; empty where not stated.
        mean: Per RGB channel, on the 0 to 1 scale.
        std: Per RGB channel, on the 0 to 1 scale.
        pooling: From tokens to the embedding, as its authors recommend.
        width: Width of the embedding.
        licence: Of the weights; ``not stated`` where no source says.
        non_commercial: The licence forbids commercial use.
        limits: Further limits of the licence, one sentence; empty for none.
        hub: Repository on the Hugging Face hub; empty where the weights are elsewhere.
        file: Name of the file of weights there; empty for timm's names.
        page: Where a person gets the file.
        sources: Where these facts are from.
        note: What else a user must know; empty for nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    domain: Literal["cytology", "histology"]
    architecture: str
    kwargs: dict[str, str | bool | int | float] = Field(default_factory=dict[str, str | bool | int | float])
    side_px: int = Field(gt=0)
    patch_px: int = Field(gt=0)
    mpp: list[float] = Field(default_factory=list[float])
    mean: Annotated[tuple[float, float, float], Field()]
    std: Annotated[tuple[float, float, float], Field()]
    pooling: Pooling = "default"
    width: int = Field(gt=0)
    licence: str
    non_commercial: bool = False
    limits: str = ""
    hub: str = ""
    file: str = ""
    page: str
    sources: list[str] = Field(min_length=1)
    note: str = ""

    @property
    def licence_note(self) -> str:
        """One line on the licence of the weights, for the terminal and the model card."""
        text = f"Encoder {self.title}: licence of the weights {self.licence}"
        if self.non_commercial:
            text += ", which forbids commercial use, also of models made with it"
        return f"{text}. {self.limits}".rstrip() if self.limits else f"{text}."


@cache
def encoder_recipes() -> dict[str, EncoderRecipe]:
    """All recipes by name, in the order of the table."""
    text = files("inkdot.model.encoders").joinpath("recipes.yaml").read_text(encoding="utf-8")
    recipes = TypeAdapter(list[EncoderRecipe]).validate_python(yaml.safe_load(text))
    return {recipe.name: recipe for recipe in recipes}


def recipe_of(backbone: str) -> EncoderRecipe | None:
    """The recipe of a name in ``model.backbone``: its own, or that of its repository (``hf-hub:MahmoodLab/UNI2-h``)."""
    recipes = encoder_recipes()
    if backbone in recipes:
        return recipes[backbone]
    source, _, repository = backbone.partition(":")
    if source not in ("hf-hub", "hf_hub"):
        return None
    return next((one for one in recipes.values() if one.hub and one.hub.lower() == repository.lower()), None)


def licence_notes(backbone: str, weights: str = "pretrained") -> list[str]:
    """Lines on the licence of the weights of an encoder; none for random weights and for backbones without a recipe.

    Args:
        backbone: As in ``model.backbone``.
        weights: As in ``model.weights``; a file is taken to be that encoder's.
    """
    recipe = recipe_of(backbone)
    return [] if recipe is None or weights == "scratch" else [recipe.licence_note]

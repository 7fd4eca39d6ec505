"""The configuration (``configs/*.yaml``) as strict pydantic models: unknown keys and wrong types are errors."""

from inkdot.config.adequacy import AdequacyConfig, ArtefactConfig, SpotConfig
from inkdot.config.commented_yaml import commented_yaml
from inkdot.config.loading import config_from_mapping, load_config
from inkdot.config.mil import Aggregator
from inkdot.config.morphometry import MorphometryConfig
from inkdot.config.presets import default_config, initial_config
from inkdot.config.review import (
    DEFAULT_CATEGORIES,
    MAX_CATEGORY_CHARACTERS,
    MEANINGS,
    ReviewConfig,
    SlideCategory,
)
from inkdot.config.schema import AnnotationConfig, Config, HeadConfig, ImagesConfig
from inkdot.config.tiling import LabellingConfig, TilingConfig
from inkdot.config.training import (
    IMAGENET_LITE0,
    LITE0_BACKBONE,
    LITE0_PACKAGE,
    LITE0_TAGGED,
    AugmentationConfig,
    ModelConfig,
    Monitored,
    TrainingConfig,
)

__all__ = [
    "DEFAULT_CATEGORIES",
    "IMAGENET_LITE0",
    "LITE0_BACKBONE",
    "LITE0_PACKAGE",
    "LITE0_TAGGED",
    "MAX_CATEGORY_CHARACTERS",
    "MEANINGS",
    "AdequacyConfig",
    "Aggregator",
    "AnnotationConfig",
    "ArtefactConfig",
    "AugmentationConfig",
    "Config",
    "HeadConfig",
    "ImagesConfig",
    "LabellingConfig",
    "ModelConfig",
    "Monitored",
    "MorphometryConfig",
    "ReviewConfig",
    "SlideCategory",
    "SpotConfig",
    "TilingConfig",
    "TrainingConfig",
    "commented_yaml",
    "config_from_mapping",
    "default_config",
    "initial_config",
    "load_config",
]

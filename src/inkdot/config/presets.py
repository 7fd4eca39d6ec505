"""Default settings per preparation: cytology 256 px at 0.25 µm/px, sections 256 px at 0.5 µm/px."""

from importlib.util import find_spec

from inkdot.config.schema import Config
from inkdot.config.tiling import TilingConfig
from inkdot.config.training import IMAGENET_LITE0, LITE0_PACKAGE, ModelConfig
from inkdot.records import Preparation


def default_config(preparation: Preparation = "thinprep") -> Config:
    """The config that ``inkdot`` uses where no config file is given."""
    if preparation == "section":
        tiling = TilingConfig(
            side_px=256, mpp=0.5, stride_px=256, mask_mpp=8.0, min_foreground_fraction=0.1, min_object_um=30.0
        )
    else:
        # In mode grid, tiles overlap by half: a cluster cut by the edge of one tile is whole in the next.
        # A smear is crowded: all its nuclei would be one cluster.
        mode = "grid" if preparation == "smear" else "clusters"
        tiling = TilingConfig(side_px=256, mpp=0.25, stride_px=128, mode=mode)
    return Config(preparation=preparation, tiling=tiling)


def initial_config(preparation: Preparation = "thinprep") -> Config:
    """What ``inkdot init`` writes: the default config, with ImageNet weights where their package is installed."""
    config = default_config(preparation)
    if find_spec(LITE0_PACKAGE) is None:
        return config
    return config.model_copy(update={"model": ModelConfig.model_validate({"weights": IMAGENET_LITE0})})

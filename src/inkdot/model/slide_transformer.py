"""The score of a slide by a small transformer over its tiles, after TransMIL (Shao et al. 2021, arXiv:2106.00908).

Each tile becomes a token, a class token is put before them, and after two layers of self-attention a linear layer reads the
logits of the slide from the class token. So the score can depend on which tiles come together, which no weighted mean of tile
logits can.

Different from TransMIL: attention is exact, not approximated (Nyström), over at most ``MOST_TILES`` tiles; and there is no
positional term (PPEG), which folds the sequence into a square. Cells of a cytology slide lie where they fell, so the order of
tiles means nothing: the score is the same for any order (docs/explanation/decisions/0210).
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.functional import relu, scaled_dot_product_attention

from inkdot.errors import StorageError
from inkdot.labels import Head
from inkdot.model.attention import flag_margin
from inkdot.model.targets import IndexArray
from inkdot.storage.layout import ModelLayout

LogitArray = npt.NDArray[np.float32]

MOST_TILES: Final = 4096
"""Tiles of a slide that the transformer sees: time grows with their square, 0.09 s for so many on one core."""

_PREFIX: Final = "slide_transformer."
_LAYERS: Final = 2
_ATTENTION_HEADS: Final = 4
_DROPOUT: Final = 0.1


class SlideOutput(NamedTuple):
    """The transformer on one slide.

    Attributes:
        logits: Of all heads, float32 [classes].
        attention: Weight of each tile, sum 1, float32 [n]: attention of the class token in the last layer, the mean of its
            heads, without the weight of the class token itself. 0 for tiles beyond ``MOST_TILES``. It says which tiles were
            looked at, not which are malignant.
    """

    logits: LogitArray
    attention: LogitArray


class TileTokens(nn.Module):
    """From embeddings to tokens: a linear layer and a rectifier, as in TransMIL."""

    def __init__(self, features: int, hidden: int) -> None:
        """Make the layer.

        Args:
            features: Width of the embedding.
            hidden: Width of a token.
        """
        super().__init__()
        # The embeddings' scales differ by channel and by backbone.
        self.scale = nn.LayerNorm(features, elementwise_affine=False)
        self.project = nn.Linear(features, hidden)

    def forward(self, features: Tensor) -> Tensor:
        """Tokens, shape [n, hidden]; features [n, features]."""
        return relu(self.project(self.scale(features)))


class SelfAttention(nn.Module):
    """``x + attention(norm(x))``: a layer of a transformer without its feed-forward part, as in TransMIL."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(_DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """All tokens after the layer, shape [n, hidden]."""
        query, key, value = self._split(x)
        # Four dimensions: only then memory grows with n, not with its square.
        mixed = scaled_dot_product_attention(query[None], key[None], value[None])[0]
        return x + self.dropout(self.out(mixed.transpose(0, 1).flatten(1)))

    def first(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The first token after the layer, shape [hidden], and its attention, mean over the heads, shape [n]."""
        query, key, value = self._split(x)
        weights = torch.softmax(query[:, :1] @ key.transpose(1, 2) / query.shape[2] ** 0.5, dim=2)
        mixed = (weights @ value).flatten()
        return x[0] + self.dropout(self.out(mixed)), weights[:, 0].mean(dim=0)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, shape [heads, n, hidden / heads] each."""
        query, key, value = self.qkv(self.norm(x)).view(len(x), 3, _ATTENTION_HEADS, -1).permute(1, 2, 0, 3)
        return query, key, value


class SlideTransformer(nn.Module):
    """Tokens of one slide in, logits of the slide out."""

    def __init__(self, hidden: int, classes: int) -> None:
        """Make the layers.

        Args:
            hidden: Width of a token, a multiple of 4.
            classes: Of all heads together.
        """
        super().__init__()
        self.class_token = nn.Parameter(torch.randn(1, hidden))
        self.layers = nn.ModuleList([SelfAttention(hidden) for _ in range(_LAYERS)])
        self.norm = nn.LayerNorm(hidden)
        self.classify = nn.Linear(hidden, classes)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of all heads, shape [classes], and attention of the tiles, sum 1, shape [n].

        Args:
            tokens: Of the tiles of one slide, in any order, shape [n, hidden], n at least 1.
        """
        x = torch.cat([self.class_token.to(tokens.dtype), tokens])
        *layers, last = self.layers
        for layer in layers:
            x = layer(x)
        token, weights = last.first(x)  # pyright: ignore[reportCallIssue]
        return self.classify(self.norm(token)), weights[1:] / weights[1:].sum()

    def of_bags(self, tokens: Tensor, owners: Tensor, bags: int) -> Tensor:
        """Logits of several slides, shape [bags, classes]; owners as of :func:`inkdot.model.attention.pooled_logits`."""
        return torch.stack([self(tokens[owners == bag])[0] for bag in range(bags)])


def slide_output(transformer: SlideTransformer, outputs: LogitArray, heads: Sequence[Head]) -> SlideOutput:
    """The logits of a slide, the same in training's validation, calibration and prediction.

    Args:
        transformer: In evaluation mode afterwards.
        outputs: Of the network for all tiles of the slide: logits of all heads, then the token, shape [n, columns], n at
            least 1.
        heads: The heads.
    """
    classes = sum(len(head.classes) for head in heads)
    whole = torch.from_numpy(np.ascontiguousarray(outputs, np.float32))
    rows = seen_tiles(flag_margin(whole[:, :classes], heads)[:, 0].numpy())
    device = transformer.class_token.device
    transformer.eval()
    with torch.inference_mode():
        logits, weights = transformer(whole[torch.from_numpy(rows), classes:].to(device))
    attention = np.zeros(len(outputs), np.float32)
    attention[rows] = weights.cpu().numpy()
    return SlideOutput(logits.cpu().numpy(), attention)


def seen_tiles(margins: LogitArray, most: int = MOST_TILES) -> IndexArray:
    """Rows of the tiles that the transformer sees, in ascending order.

    All of them up to a limit. Of more, as in training, half are those of the highest score; the other half, there drawn at
    random, are spread evenly over the others, so that a slide always gets the same score.

    Args:
        margins: Log-odds of the flag class of each tile, shape [n].
        most: The limit.
    """
    if len(margins) <= most:
        return np.arange(len(margins))
    order = np.argsort(-margins, kind="stable")
    high, others = order[: most // 2], np.sort(order[most // 2 :])
    spread = np.linspace(0, len(others) - 1, most - len(high)).astype(np.int64)
    return np.sort(np.concatenate([high, others[spread]]))


def load_slide_transformer(folder: Path, hidden: int, classes: int) -> SlideTransformer:
    """The transformer of a model folder, on the CPU, in evaluation mode.

    Args:
        folder: The folder.
        hidden: Width of a token.
        classes: Of all heads together.

    Raises:
        StorageError: Its tensors are missing or have other shapes.
    """
    path, transformer = ModelLayout(folder).weights, SlideTransformer(hidden, classes)
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(_PREFIX)]  # noqa: SIM118 - no mapping
            transformer.load_state_dict({name.removeprefix(_PREFIX): file.get_tensor(name) for name in names})
    except (SafetensorError, OSError, RuntimeError) as error:
        raise StorageError(
            f"{path}: expected the transformer over tiles that model.json describes, found other tensors "
            f"({' '.join(str(error).split())[:120]}); copy the whole model folder again"
        ) from None
    return transformer.eval()

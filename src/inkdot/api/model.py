"""Load a model folder and predict slides or arrays of tiles."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inkdot.api.frames import html_table, to_pandas
from inkdot.api.prediction import SlidePrediction, TemporaryResults
from inkdot.api.python_words import at_least_one, python_words
from inkdot.api.results import Results
from inkdot.api.slide import Slide, slide_entry
from inkdot.config import Config
from inkdot.errors import UserError
from inkdot.execution.backends import ExecutionSettings
from inkdot.labels import Head, score_columns
from inkdot.model.predictor import Runtime
from inkdot.model.runtimes.batches import Inferred
from inkdot.pipeline.batch_settings import BatchSettings, SlideOverrides
from inkdot.pipeline.results.cluster_slide import cluster_slide
from inkdot.pipeline.scoring.guards import require_known_scale, require_synthetic_slides
from inkdot.pipeline.scoring.score_slide import ScoringModel, score_slide
from inkdot.pipeline.tile_slide import tile_slide, tiling_config
from inkdot.records import RgbArray
from inkdot.review.wording import RESEARCH_USE
from inkdot.stages import predict
from inkdot.storage.layout import ModelLayout
from inkdot.storage.models.ensemble_files import single_model_only
from inkdot.storage.models.model_files import ModelFile
from inkdot.storage.models.model_records import OperatingPoint

if TYPE_CHECKING:
    import pandas as pd

Tiles = npt.NDArray[np.uint8] | Sequence[RgbArray]


class ModelCard(str):
    """The text of ``card.md``; a notebook shows it formatted."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return str(self)


class Model:
    """A trained model. Made by :func:`load_model`.

    Attributes:
        folder: The model folder.
        description: Everything in ``model.json``.
    """

    def __init__(self, folder: Path, scoring: ScoringModel) -> None:
        self.folder = folder
        self._scoring = scoring
        self.description: ModelFile = scoring.predictor.description

    @property
    def heads(self) -> tuple[Head, ...]:
        """The tasks of the model and their classes, in the order of the probabilities."""
        return self.description.head_records

    @property
    def mpp(self) -> float:
        """Micrometres per pixel of the tiles that it takes."""
        return float(self.description.tiling.mpp)

    @property
    def tile_size_px(self) -> int:
        """Side in pixels of the tiles that it takes."""
        return int(self.description.tiling.side_px)

    @property
    def synthetic(self) -> bool:
        """Trained on synthetic specimens: its scores mean nothing on real cells."""
        return self.description.trained_on.synthetic

    @property
    def operating_points(self) -> Mapping[str, OperatingPoint]:
        """The locked threshold of each head that flags, with its sensitivity and specificity on validation data."""
        return self.description.operating_points

    @property
    def config(self) -> Config:
        """The settings with which slides are tiled for the model; also for :func:`inkdot.find_clusters`."""
        return tiling_config(self.description)

    @property
    def card(self) -> ModelCard:
        """What to know before using the model, as Markdown."""
        return ModelCard(ModelLayout(self.folder).card.read_text(encoding="utf-8"))

    def metrics(self) -> pd.DataFrame:
        """Metrics on validation data, one per row, indexed by name: ``value``, 95 % interval ``low`` to ``high``, ``method``.

        Names that start with ``selftest_`` were measured on synthetic data.

        Raises:
            UserError: pandas is not installed.
        """
        found = self.description.validation_metrics
        rows = [{"metric": name, **found[name].model_dump()} for name in sorted(found)]
        schema = pa.schema(
            [
                ("metric", pa.string()),
                *((name, pa.float64()) for name in ("value", "low", "high")),
                ("method", pa.string()),
            ]
        )
        return to_pandas(pa.Table.from_pylist(rows, schema=schema), index="metric")

    def predict_slide(
        self,
        slide: Slide | str | os.PathLike[str],
        *,
        mpp: float | None = None,
        stain: str | None = None,
        preparation: str | None = None,
        allow_synthetic_model: bool = False,
        allow_unknown_scale: bool = False,
        keep_ood_calls: bool = False,
    ) -> SlidePrediction:
        """Tile, score and cluster one slide with the settings of the model; the numbers of `inkdot predict`.

        Intermediate tables lie in a temporary folder that is deleted with the prediction. For many slides, or to keep the
        tables, use :meth:`predict_slides`.

        Args:
            slide: An open slide, or a path.
            mpp: Micrometres per level-0 pixel, instead of what the file or the open slide states.
            stain: Stain of the slide; a warning says where the model never saw it.
            preparation: Preparation of the slide; likewise.
            allow_synthetic_model: Let a model trained on synthetic specimens score a real slide.
            allow_unknown_scale: Let a model trained on images of unknown scale score a slide.
            keep_ood_calls: Call a slide unlike those of training, too; otherwise it is ``indeterminate``.

        Raises:
            SyntheticModelError: The model is synthetic, the slide is not, and that was not allowed.
            MissingMppError: The slide has no µm/px.
            ResolutionError: The slide is too coarse for the model.
            NotBrightFieldError: It is no bright-field slide.
            UnreadableSlideError: Its pixels cannot be decoded.

        Examples:
            >>> prediction = inkdot.load_model("model").predict_slide("slide.svs", stain="pap")
            >>> prediction.call, prediction.score
            ('flagged', 0.9731)
        """
        entry = slide_entry(slide, mpp=mpp, stain=stain, preparation=preparation)
        scoring = replace(
            self._scoring, allow_synthetic_model=allow_synthetic_model, keep_ood_calls=keep_ood_calls
        )
        results = TemporaryResults()
        config = self.config
        with python_words():
            require_known_scale(self.folder, self.description, allowed=allow_unknown_scale)
            require_synthetic_slides([entry], self.description, allowed=allow_synthetic_model)
            tile_slide(entry, config, results.layout)
            score_slide(entry, results.layout, scoring)
            cluster_slide(entry, results.layout, config.morphometry, config.tiling.cell_finder)
        return SlidePrediction(results.layout, entry, results)

    def predict_slides(
        self,
        sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        out: str | os.PathLike[str],
        *,
        mpp: float | None = None,
        stain: str | None = None,
        preparation: str | None = None,
        allow_synthetic_model: bool = False,
        allow_unknown_scale: bool = False,
        keep_ood_calls: bool = False,
        workers: int = 1,
        images: bool = True,
    ) -> Results:
        """Run `inkdot predict` into a results folder. A slide that fails does not stop the others.

        Args:
            sources: A ``slides.csv``, a slide, or a folder of slides; or several of these.
            out: The results folder; a rerun keeps what is still valid.
            mpp: Micrometres per pixel of every slide, instead of what the files state.
            stain: Stain of every slide.
            preparation: Preparation of every slide.
            allow_synthetic_model: Let a model trained on synthetic specimens score real slides.
            allow_unknown_scale: Let a model trained on images of unknown scale score slides.
            keep_ood_calls: Call slides unlike those of training, too; otherwise they are ``indeterminate``.
            workers: Processes that cut tiles.
            images: Draw each slide's overview and heat map into the folder.

        Raises:
            UserError: The input as a whole is wrong; nothing was written.
        """
        named = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
        if not named:
            raise UserError("sources: expected at least one slide, found none")
        with python_words():
            predict.run(
                [Path(source) for source in named],
                self.folder,
                Path(out),
                predict.PredictSettings(
                    allow_synthetic_model=allow_synthetic_model,
                    allow_unknown_scale=allow_unknown_scale,
                    keep_ood_calls=keep_ood_calls,
                    runtime=self._scoring.predictor.runtime,
                    slide_images=images,
                ),
                BatchSettings(
                    overrides=SlideOverrides(mpp=mpp, stain=stain, preparation=preparation),
                    execution=ExecutionSettings(workers=at_least_one("workers", workers)),
                ),
            )
        return Results(Path(out))

    def predict_tiles(self, tiles: Tiles) -> pd.DataFrame:
        """Calibrated probabilities of an array of tiles.

        Nothing tells an array of real cells from synthetic ones: the caller must know what the model was trained on.

        Args:
            tiles: uint8 RGB [n, side, side, 3], side ``tile_size_px``, at ``mpp`` µm/px.

        Returns:
            One row per tile. Columns ``p.<head>.<class>``, 0 to 1, which sum to 1 over the classes of a head; ``spread`` where
            the model is an ensemble: the standard deviation of its models' scores of the flag class; ``ood_distance`` where
            it has an out-of-distribution reference.

        Raises:
            UserError: The array has another shape or type, or pandas is not installed.

        Examples:
            >>> pixels = slide.read_region(5000, 4000, 64, 64, mpp=model.mpp)
            >>> model.predict_tiles(pixels[None])["p.malignancy.malignant"]
        """
        return to_pandas(self.predict_tiles_arrow(tiles))

    def predict_tiles_arrow(self, tiles: Tiles) -> pa.Table:
        """The same as Arrow; see :meth:`predict_tiles`."""
        predictor = self._scoring.predictor
        batches = list(self._infer(tiles))
        scores, _, spread, *_ = predictor.from_logits([batch.logits for batch in batches])
        columns = {name: _float32(scores[:, index]) for index, name in enumerate(score_columns(self.heads))}
        if spread is not None:
            columns["spread"] = _float32(spread)
        if predictor.ood_distance is not None:
            distances = [predictor.ood_distance(batch.features) for batch in batches]
            columns["ood_distance"] = _float32(np.concatenate([np.zeros(0, np.float32), *distances]))
        return pa.table(columns)

    def features(self, tiles: Tiles) -> npt.NDArray[np.float32]:
        """Embeddings of an array of tiles, float32 [n, features].

        Args:
            tiles: As for :meth:`predict_tiles`.

        Raises:
            UserError: The array has another shape or type, or the model is an ensemble, which has several encoders.
        """
        single_model_only(self.folder, self.description.members, "features")
        empty = np.zeros((0, self._scoring.predictor.network.feature_count), np.float32)
        return np.concatenate([empty, *(batch.features for batch in self._infer(tiles))])

    def __repr__(self) -> str:
        heads = ", ".join(f"{head.name}: {'/'.join(head.classes)}" for head in self.heads)
        synthetic = ", SYNTHETIC" if self.synthetic else ""
        return f"Model({self.description.backbone!r}, {heads}, {self.tile_size_px} px tiles at {self.mpp:g} µm/px{synthetic})"

    def _repr_html_(self) -> str:
        seen = self.description.trained_on
        return html_table(
            {
                "network": self.description.backbone,
                "heads": "; ".join(f"{head.name}: {', '.join(head.classes)}" for head in self.heads),
                "tiles": f"{self.tile_size_px} px at {self.mpp:g} µm/px",
                "preparation": self.description.preparation,
                "trained on": f"{seen.slides} {'images' if seen.images else 'slides'} of {seen.patients} patients",
                "synthetic": "yes: its scores mean nothing on real cells" if self.synthetic else "",
                "": RESEARCH_USE,
            }
        )

    def _infer(self, tiles: Tiles) -> Iterator[Inferred]:
        side = self.tile_size_px
        expected = f"expected tiles as uint8 RGB [n, {side}, {side}, 3] at {self.mpp:g} µm/px"
        try:
            pixels: npt.NDArray[np.uint8] = np.asarray(tiles)
        except ValueError:
            raise UserError(f"{expected}, found tiles of different shapes") from None
        if pixels.shape == (0,):  # an empty list
            pixels = np.zeros((0, side, side, 3), np.uint8)
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (side, side, 3):
            raise UserError(
                f"{expected}, found {pixels.dtype} {list(pixels.shape)}; "
                f"read them with `read_region(..., mpp={self.mpp:g})`"
            )
        return self._scoring.predictor.infer(cast("Sequence[RgbArray]", pixels))


def _float32(values: npt.NDArray[np.float32]) -> Any:
    return pa.array(values, pa.float32())  # pyright: ignore[reportUnknownMemberType]


def load_model(folder: str | os.PathLike[str], *, runtime: Runtime = "auto") -> Model:
    """Load a model folder: weights, description and card. The network itself is loaded when it is first used.

    Args:
        folder: What training made (``RUN/model``), or ``models/demo``.
        runtime: ``torch``, ``openvino``, or ``auto``: OpenVINO where it is installed and there is no GPU.

    Raises:
        StorageError: The folder is not a model, or its files do not belong together.
        UserError: There is no such runtime, or OpenVINO is asked for and not installed.

    Examples:
        >>> inkdot.load_model("models/demo")
        Model('mobilenetv3_small_050', malignancy: benign/malignant, ...)
    """
    if runtime not in get_args(Runtime):
        raise UserError(f"runtime: expected {', '.join(get_args(Runtime))}, found {runtime!r}")
    return Model(Path(folder), ScoringModel.load(Path(folder), allow_synthetic_model=False, runtime=runtime))

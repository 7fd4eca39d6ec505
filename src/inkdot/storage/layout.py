"""Paths of files, beside those of :mod:`inkdot.storage.output_layouts`. No other module joins these names."""

from dataclasses import dataclass
from pathlib import Path

_LOCK = ".inkdot.lock"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that a stage writes to."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held while a stage writes here."""
        return self.root / _LOCK


@dataclass(frozen=True, slots=True)
class RunLayout(Folder):
    """Files of a tiling run, a training run or a results folder; each holds those that its stage writes.

    Attributes:
        shard: Name of the part of a list that this process works on, such as ``3-of-8``; empty for the whole list. Shards have
            a ledger and a lock of their own and share all other files.
    """

    shard: str = ""

    @property
    def lock(self) -> Path:
        """Held while a stage writes here, or while one works on the shard."""
        return (self.shards / self.shard if self.shard else self.root) / _LOCK

    @property
    def slides_csv(self) -> Path:
        """The slides of the run, for later stages that read pixels."""
        return self.root / "slides.csv"

    @property
    def config_json(self) -> Path:
        """The whole config of the run."""
        return self.root / "config.json"

    @property
    def ledger(self) -> Path:
        """Outcome of each slide; the only file with time stamps."""
        return (self.shards / self.shard if self.shard else self.root) / "ledger.jsonl"

    @property
    def shards(self) -> Path:
        """A folder for each shard of a list; missing where the list was not sharded."""
        return self.root / "shards"

    @property
    def shard_json(self) -> Path:
        """What the shard works on, and whether it has ended."""
        return self.shards / self.shard / "shard.json"

    @property
    def merge_lock(self) -> Path:
        """Held while the tables of all shards are written."""
        return self.shards / ".merge.lock"

    def every_shard(self) -> "list[RunLayout]":
        """The layouts of all shards that have begun, by name."""
        return [RunLayout(self.root, path.parent.name) for path in sorted(self.shards.glob("*/shard.json"))]

    def locks_of_others(self) -> list[Path]:
        """Locks that nobody may hold while this one is held: a shard's excludes the folder's, and the other way round."""
        whole = self.root / _LOCK
        return [whole] if self.shard else sorted(self.shards.glob(f"*/{_LOCK}"))

    def tiles(self, slide_id: str) -> Path:
        """Tile table of one slide."""
        return self.root / "tiles" / f"{slide_id}.parquet"

    def clusters(self, slide_id: str) -> Path:
        """Clusters of one slide, where tiles were centred on them."""
        return self.root / "clusters" / f"{slide_id}.parquet"

    def nuclei(self, slide_id: str) -> Path:
        """Outlines of the nuclei in the measured clusters of one slide."""
        return self.root / "nuclei" / f"{slide_id}.parquet"

    def mask(self, slide_id: str) -> Path:
        """Mask image of what was kept and dropped."""
        return self.root / "masks" / f"{slide_id}.png"

    def scores(self, slide_id: str) -> Path:
        """Scored tiles of one slide."""
        return self.root / "scores" / f"{slide_id}.parquet"

    def cluster_scores(self, slide_id: str) -> Path:
        """Scored clusters of one slide, where tiles were centred on them."""
        return self.root / "cluster_scores" / f"{slide_id}.parquet"

    def overview(self, slide_id: str) -> Path:
        """Image of one slide with the highest-scored regions marked."""
        return self.root / "overview" / f"{slide_id}.jpg"

    def heat_map(self, slide_id: str) -> Path:
        """Image of one slide with every tile in the colour of its score."""
        return self.root / "heatmap" / f"{slide_id}.png"

    def embeddings(self, slide_id: str) -> Path:
        """Embedding of each tile or cluster, as HDF5."""
        return self.root / "embeddings" / f"{slide_id}.h5"

    def exported_embeddings(self, format_: str, encoder: str, slide_id: str) -> Path:
        """The same as TRIDENT, CLAM or STAMP names it."""
        folder = {"trident": f"features_{encoder}", "clam": "h5_files", "stamp": encoder}[format_]
        return self.root / format_ / folder / f"{slide_id}.h5"

    @property
    def image_embeddings(self) -> Path:
        """Embedding of each labelled image, where the backbone is frozen; float16 [images, features]."""
        return self.root / "embeddings" / "images.npy"

    @property
    def linear_probe_csv(self) -> Path:
        """L2 penalties that a linear probe tried, per head, with the loss on held-out training patients."""
        return self.root / "linear_probe.csv"

    @property
    def predictions_csv(self) -> Path:
        """Call and score of each slide, one row per slide."""
        return self.root / "predictions.csv"

    @property
    def assessment_csv(self) -> Path:
        """Adequacy and assessable area of each slide."""
        return self.root / "assessment.csv"

    @property
    def reviews_sqlite(self) -> Path:
        """Verdicts given through `inkdot review serve`."""
        return self.root / "reviews.sqlite"

    @property
    def pseudonyms_csv(self) -> Path:
        """Pseudonyms of slides in exported pages; must not be handed over with them."""
        return self.root / "pseudonyms.csv"

    @property
    def model(self) -> Path:
        """The trained model: a folder that can be copied on its own."""
        return self.root / "model"

    @property
    def evaluation_json(self) -> Path:
        """Metrics of a model on labelled slides."""
        return self.root / "evaluation.json"

    @property
    def evaluation_html(self) -> Path:
        """The same as one self-contained page."""
        return self.root / "evaluation.html"

    @property
    def evaluated_slides_csv(self) -> Path:
        """Truth, score and call of every evaluated slide."""
        return self.root / "evaluated_slides.csv"

    @property
    def image_predictions_csv(self) -> Path:
        """Labels and scores of every evaluated image."""
        return self.root / "images.csv"

    def phase(self, name: str) -> "RunLayout":
        """A training phase besides that on labelled tiles, with its own checkpoints and curves."""
        return RunLayout(self.root / name)

    def fold(self, index: int) -> "RunLayout":
        """The run of one fold of a cross-validation; ``index`` from 0, the folder name from 1."""
        return RunLayout(self.root / "folds" / str(index + 1))

    def calibration_fold(self, index: int) -> "RunLayout":
        """The run of one fold whose model gives out-of-fold scores to lock the model on; ``index`` from 0, the name from 1."""
        return RunLayout(self.root / "calibration" / str(index + 1))

    @property
    def cross_validation_json(self) -> Path:
        """Out-of-fold metrics over all folds: each patient scored by the model of its fold."""
        return self.root / "cross_validation.json"

    @property
    def cross_validation_md(self) -> Path:
        """The same as text."""
        return self.root / "cross_validation.md"

    @property
    def out_of_fold_csv(self) -> Path:
        """Out-of-fold score of every tile or image."""
        return self.root / "out_of_fold.csv"

    @property
    def out_of_fold_slides_csv(self) -> Path:
        """Out-of-fold score and call of every slide."""
        return self.root / "out_of_fold_slides.csv"

    @property
    def best_checkpoint(self) -> Path:
        """Weights of the best epoch, by ``training.monitor``."""
        return self.root / "checkpoints" / "best.safetensors"

    @property
    def last_checkpoint(self) -> Path:
        """State from which training resumes after the last complete epoch."""
        return self.root / "checkpoints" / "last.safetensors"

    @property
    def metrics_csv(self) -> Path:
        """Losses and validation metrics per epoch."""
        return self.root / "metrics.csv"

    @property
    def curves_svg(self) -> Path:
        """The same as a plot."""
        return self.root / "curves.svg"

    @property
    def tensorboard(self) -> Path:
        """The same for TensorBoard, where ``training.tensorboard`` is set."""
        return self.root / "tensorboard"

    @property
    def environment_json(self) -> Path:
        """Versions of programs, machine and hashes of a training run."""
        return self.root / "environment.json"

    @property
    def split_csv(self) -> Path:
        """Training and validation slides."""
        return self.root / "split.csv"

    @property
    def tile_cache(self) -> Path:
        """Cached pixels of training tiles; may be deleted."""
        return self.root / "cache"

    def cached_tiles(self, slide_id: str) -> Path:
        """Pixels of one slide's training tiles, uint8 [tiles, side, side, 3]."""
        return self.tile_cache / f"{slide_id}.npy"

    @property
    def cached_images(self) -> Path:
        """Pixels of all labelled images of a run, uint8 [images, side, side, 3]."""
        return self.tile_cache / "images.npy"

    @property
    def cached_images_metadata(self) -> Path:
        """Inputs of the cached images, as JSON."""
        return self.tile_cache / "images.json"

    def cached_tiles_metadata(self, slide_id: str) -> Path:
        """Inputs of the cached tiles, as JSON."""
        return self.tile_cache / f"{slide_id}.json"


@dataclass(frozen=True, slots=True)
class ModelLayout(Folder):
    """Files of a model folder."""

    @property
    def weights(self) -> Path:
        """Tensors, as safetensors."""
        return self.root / "weights.safetensors"

    @property
    def description(self) -> Path:
        """Model description: architecture, heads, scale, operating points, hashes."""
        return self.root / "model.json"

    @property
    def reference(self) -> Path:
        """OOD reference: embeddings of training tiles, as safetensors; missing where the model has none."""
        return self.root / "reference.safetensors"

    @property
    def card(self) -> Path:
        """Model card."""
        return self.root / "card.md"

    @property
    def members(self) -> Path:
        """The models of an ensemble; missing where the model is one network."""
        return self.root / "members"

    def member(self, index: int) -> Path:
        """Model folder of one member; ``index`` from 0, the folder name from 1."""
        return self.members / str(index + 1)

"""Where every file lies. No other module joins these names."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunLayout:
    """The files of a tiling run, a training run, or a results folder; each holds those its stage makes."""

    root: Path

    @property
    def slides_csv(self) -> Path:
        """The slides as they were used, so that later stages find the pixels."""
        return self.root / "slides.csv"

    @property
    def config_json(self) -> Path:
        """The whole config as it was used."""
        return self.root / "config.json"

    @property
    def ledger(self) -> Path:
        """What happened to each slide; the only file with time stamps."""
        return self.root / "ledger.jsonl"

    @property
    def lock(self) -> Path:
        """Held while a stage writes here."""
        return self.root / ".inkdot.lock"

    def tiles(self, slide_id: str) -> Path:
        """Tile table of one slide."""
        return self.root / "tiles" / f"{slide_id}.parquet"

    def clusters(self, slide_id: str) -> Path:
        """Clusters of one slide, where tiles were centred on them."""
        return self.root / "clusters" / f"{slide_id}.parquet"

    def mask(self, slide_id: str) -> Path:
        """Image of what was kept and what was dropped."""
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
        """What the network saw of each tile or cluster, float [rows, dims]."""
        return self.root / "embeddings" / f"{slide_id}.npy"

    def embeddings_facts(self, slide_id: str) -> Path:
        """What those numbers were made from."""
        return self.root / "embeddings" / f"{slide_id}.json"

    @property
    def predictions_csv(self) -> Path:
        """One line per slide."""
        return self.root / "predictions.csv"

    @property
    def assessment_csv(self) -> Path:
        """What of each slide can be judged, and why the rest cannot."""
        return self.root / "assessment.csv"

    @property
    def reviews_sqlite(self) -> Path:
        """What readers answered through `inkdot review serve`."""
        return self.root / "reviews.sqlite"

    @property
    def pseudonyms_csv(self) -> Path:
        """Which slide goes by which pseudonym in what was handed over; never handed over itself."""
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
        """The same for people: one page, nothing loaded from elsewhere."""
        return self.root / "evaluation.html"

    @property
    def judged_images_csv(self) -> Path:
        """Truth and scores of every image that an evaluation judged."""
        return self.root / "images.csv"

    def phase(self, name: str) -> "RunLayout":
        """What comes before or after the learning from labelled tiles, with checkpoints and curves of its own."""
        return RunLayout(self.root / name)

    def fold(self, index: int) -> "RunLayout":
        """The run of one fold of a cross-validation, counted from 1 in its name."""
        return RunLayout(self.root / "folds" / str(index + 1))

    @property
    def cross_validation_json(self) -> Path:
        """Metrics over all folds, each tile judged by the model that never saw its patient."""
        return self.root / "cross_validation.json"

    @property
    def cross_validation_md(self) -> Path:
        """The same for people."""
        return self.root / "cross_validation.md"

    @property
    def out_of_fold_csv(self) -> Path:
        """Score of every tile or image by the model that never saw its patient."""
        return self.root / "out_of_fold.csv"

    @property
    def out_of_fold_slides_csv(self) -> Path:
        """Score and call of every whole slide by the model that never saw its patient."""
        return self.root / "out_of_fold_slides.csv"

    @property
    def best_checkpoint(self) -> Path:
        """Weights of the best epoch, by ``training.monitor``."""
        return self.root / "checkpoints" / "best.safetensors"

    @property
    def last_checkpoint(self) -> Path:
        """All that training needs to go on after the last whole epoch."""
        return self.root / "checkpoints" / "last.safetensors"

    @property
    def metrics_csv(self) -> Path:
        """Losses and validation metrics per epoch."""
        return self.root / "metrics.csv"

    @property
    def curves_svg(self) -> Path:
        """The same as a image."""
        return self.root / "curves.svg"

    @property
    def events(self) -> Path:
        """The same for TensorBoard, which looks for this word in names."""
        return self.root / "events.out.tfevents.inkdot"

    @property
    def environment_json(self) -> Path:
        """With what a model was trained: programs, machine, hashes."""
        return self.root / "environment.json"

    @property
    def split_csv(self) -> Path:
        """Which slide was used for training, which for validation."""
        return self.root / "split.csv"

    @property
    def tile_cache(self) -> Path:
        """Pixels of the training tiles; can be deleted."""
        return self.root / "cache"

    def cached_tiles(self, slide_id: str) -> Path:
        """Pixels of one slide's training tiles, uint8 [tiles, side, side, 3]."""
        return self.tile_cache / f"{slide_id}.npy"

    @property
    def cached_images(self) -> Path:
        """Pixels of all labelled images of a run, uint8 [images, side, side, 3]."""
        return self.tile_cache / "images.npy"

    @property
    def cached_images_facts(self) -> Path:
        """What those pixels were made from."""
        return self.tile_cache / "images.json"

    def cached_tiles_facts(self, slide_id: str) -> Path:
        """What those pixels were made from."""
        return self.tile_cache / f"{slide_id}.json"


@dataclass(frozen=True, slots=True)
class ModelLayout:
    """The files of a model folder."""

    root: Path

    @property
    def weights(self) -> Path:
        """Tensors, in safetensors form."""
        return self.root / "weights.safetensors"

    @property
    def description(self) -> Path:
        """What the weights mean: architecture, heads, scale, operating points, hashes."""
        return self.root / "model.json"

    @property
    def reference(self) -> Path:
        """Embeddings of training tiles, in safetensors form; missing where the model cannot tell unlike slides."""
        return self.root / "reference.safetensors"

    @property
    def card(self) -> Path:
        """What a person should know before using the model."""
        return self.root / "card.md"


@dataclass(frozen=True, slots=True)
class ExportLayout:
    """A model in the form of another program."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held while a stage writes here."""
        return self.root / ".inkdot.lock"

    @property
    def facts(self) -> Path:
        """What must be known to use the files."""
        return self.root / "inkdot.json"

    @property
    def card(self) -> Path:
        """What a person should know before using the model."""
        return self.root / "card.md"

    def file(self, name: str) -> Path:
        """One of the files, by the name that the other program expects."""
        return self.root / name


@dataclass(frozen=True, slots=True)
class CohortLayout:
    """The files that ``inkdot synth`` makes."""

    root: Path

    @property
    def slides_csv(self) -> Path:
        """The manifest."""
        return self.root / "slides.csv"

    @property
    def labels_csv(self) -> Path:
        """The truth as a labels table."""
        return self.root / "labels.csv"

    @property
    def lock(self) -> Path:
        """Held while a stage writes here."""
        return self.root / ".inkdot.lock"

    def slide(self, slide_id: str) -> Path:
        """One slide file."""
        return self.root / "slides" / f"{slide_id}.tif"

    def plane(self, slide_id: str, height_um: float) -> Path:
        """One slide focused at another height, in micrometres above the slide's own plane."""
        return self.root / "planes" / f"{slide_id}_z{height_um:+.1f}um.tif"

    def extended_focus(self, slide_id: str) -> Path:
        """The focal planes of one slide fused into one image."""
        return self.root / "planes" / f"{slide_id}_edf.tif"

    def truth(self, slide_id: str) -> Path:
        """Every object of one slide."""
        return self.root / "truth" / f"{slide_id}.parquet"

    def truth_geojson(self, slide_id: str) -> Path:
        """The same for QuPath."""
        return self.root / "truth" / f"{slide_id}.geojson"


@dataclass(frozen=True, slots=True)
class ReviewLayout:
    """The folder handed to the pathologist."""

    root: Path

    @property
    def index(self) -> Path:
        """The page to open."""
        return self.root / "index.html"

    @property
    def worklist(self) -> Path:
        """Slides in the order to look at them."""
        return self.root / "worklist.csv"

    @property
    def tiles(self) -> Path:
        """Folder of the images that the page shows."""
        return self.root / "tiles"

    def geojson(self, slide_id: str) -> Path:
        """Flagged regions of one slide for QuPath."""
        return self.root / f"{slide_id}.geojson"

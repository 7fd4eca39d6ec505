"""Paths of files that commands write beside those of :mod:`inkdot.storage.layout`: made slides, reviews, comparisons, exports."""

from dataclasses import dataclass
from pathlib import Path

from inkdot.storage.layout import Folder


@dataclass(frozen=True, slots=True)
class CohortLayout(Folder):
    """Files that ``inkdot synth`` writes."""

    @property
    def slides_csv(self) -> Path:
        """The slide table."""
        return self.root / "slides.csv"

    @property
    def labels_csv(self) -> Path:
        """Ground truth as a labels table."""
        return self.root / "labels.csv"

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
        """Ground truth of one slide: all its objects."""
        return self.root / "truth" / f"{slide_id}.parquet"

    def truth_geojson(self, slide_id: str) -> Path:
        """The same for QuPath."""
        return self.root / "truth" / f"{slide_id}.geojson"


@dataclass(frozen=True, slots=True)
class ReviewLayout(Folder):
    """Files of a review folder for pathologists."""

    @property
    def index(self) -> Path:
        """The page to open."""
        return self.root / "index.html"

    @property
    def worklist(self) -> Path:
        """Slides in the order of review."""
        return self.root / "worklist.csv"

    @property
    def tiles(self) -> Path:
        """Folder of the images that the page shows."""
        return self.root / "tiles"

    def geojson(self, slide_id: str) -> Path:
        """Flagged regions of one slide for QuPath."""
        return self.root / f"{slide_id}.geojson"


@dataclass(frozen=True, slots=True)
class ReportLayout(Folder):
    """Files of a folder of reports to hand over."""

    def report(self, name: str) -> Path:
        """One page of a slide or patient."""
        return self.root / f"report-{name}.pdf"

    def contact_sheet(self, name: str) -> Path:
        """One image of a slide for a talk."""
        return self.root / f"contact-sheet-{name}.png"


@dataclass(frozen=True, slots=True)
class StudyLayout(Folder):
    """Tables of a reader study."""

    @property
    def imrmc(self) -> Path:
        """Ratings in the form of the R package iMRMC."""
        return self.root / "imrmc.csv"

    @property
    def mrmcaov(self) -> Path:
        """Ratings in the form of the R package MRMCaov."""
        return self.root / "mrmcaov.csv"

    @property
    def readings(self) -> Path:
        """Every case of every reader in both arms."""
        return self.root / "readings.csv"

    @property
    def times(self) -> Path:
        """Every answer with the time since the one before."""
        return self.root / "times.csv"

    @property
    def summary(self) -> Path:
        """Results as text."""
        return self.root / "summary.md"

    @property
    def summary_json(self) -> Path:
        """The same for programs."""
        return self.root / "summary.json"


@dataclass(frozen=True, slots=True)
class ComparisonLayout(Folder):
    """Files of a comparison of models."""

    @property
    def markdown(self) -> Path:
        """The comparison as text."""
        return self.root / "compare.md"

    @property
    def json(self) -> Path:
        """The same for programs."""
        return self.root / "compare.json"

    @property
    def plot(self) -> Path:
        """Differences and ROC curves."""
        return self.root / "compare.svg"


@dataclass(frozen=True, slots=True)
class ExportLayout(Folder):
    """Files of a model exported for another program."""

    @property
    def metadata(self) -> Path:
        """Metadata needed to use the files, as JSON."""
        return self.root / "inkdot.json"

    @property
    def card(self) -> Path:
        """Model card."""
        return self.root / "card.md"

    def file(self, name: str) -> Path:
        """A file with the name that the other program expects."""
        return self.root / name


@dataclass(frozen=True, slots=True)
class CaseModelLayout(Folder):
    """Files of ``inkdot case-model``."""

    @property
    def model(self) -> Path:
        """Coefficients, scalers and knots."""
        return self.root / "case_model.json"

    @property
    def report(self) -> Path:
        """Metrics, gains, coefficients and missing values as text."""
        return self.root / "case_model.md"

    @property
    def evaluation(self) -> Path:
        """The metrics for programs."""
        return self.root / "case_evaluation.json"

    @property
    def plot(self) -> Path:
        """Differences and ROC curves."""
        return self.root / "case_model.svg"

    @property
    def cases_csv(self) -> Path:
        """Truth and probabilities of each evaluated case: out of fold after training."""
        return self.root / "evaluated_cases.csv"

    @property
    def predictions_csv(self) -> Path:
        """Probabilities of cases without a truth."""
        return self.root / "case_predictions.csv"

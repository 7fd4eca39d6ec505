"""The public names of Inkdot, for type checkers and editors. At run time ``__init__.py`` imports them lazily."""

from inkdot.api import plot as plot
from inkdot.api.clusters import Clusters as Clusters
from inkdot.api.clusters import find_clusters as find_clusters
from inkdot.api.model import Model as Model
from inkdot.api.model import load_model as load_model
from inkdot.api.prediction import SlidePrediction as SlidePrediction
from inkdot.api.results import Results as Results
from inkdot.api.results import read_results as read_results
from inkdot.api.settings import load_config as load_config
from inkdot.api.slide import Slide as Slide
from inkdot.api.slide import open_slide as open_slide
from inkdot.api.synthetic_slides import make_synthetic_slides as make_synthetic_slides
from inkdot.api.training import TrainingRun as TrainingRun
from inkdot.api.training import train_images as train_images
from inkdot.api.training import train_slides as train_slides
from inkdot.errors import InkdotError as InkdotError

__version__: str

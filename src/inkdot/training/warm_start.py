"""A warm start (``model.weights`` of another Inkdot model) must not have been trained on what now validates it.

Files are compared, not names: pseudonymous ids are short, so that a hash of one is undone by trying them all. The hash of a
slide file can be found only by who holds the file.
"""

from pathlib import Path

from inkdot.config import Config
from inkdot.datasets.cohort import Cohort
from inkdot.errors import LeakageError
from inkdot.storage.hashing import training_file
from inkdot.storage.layout import ModelLayout
from inkdot.storage.models.model_files import ModelFile, read_model_file


def check_warm_start(cohort: Cohort, config: Config) -> None:
    """Refuse a cohort whose validation (or held-out) files the weights to start from were trained on.

    Another file of the same patient is not recognised, nor is a file that was written anew.

    Raises:
        LeakageError: There is such a file; the message names it.
        StorageError: The model folder of the weights is damaged.
    """
    known = set(_source_files(config))
    held_out = [*cohort.of("validation"), *cohort.of("test")]
    seen = [tiles.entry.slide_id for tiles in held_out if training_file(tiles.source_sha256) in known]
    if seen:
        what = "images" if cohort.images else "slides"
        raise LeakageError(
            f"model.weights: {config.model.weights}: expected a model that was not trained on the {what} that validate this one, "
            f"found {len(seen)} of {len(held_out)} among its training files, such as {seen[0]!r}: the metrics would be too good; "
            "put its patients into `train` in the column split, or start from other weights"
        )


def with_training_files(description: ModelFile, cohort: Cohort, config: Config) -> ModelFile:
    """The description with the fingerprints of the training files, and of those of the model it started from."""
    own = {training_file(tiles.source_sha256) for tiles in cohort.of("train")}
    files = sorted(own.union(_source_files(config)))
    trained_on = description.trained_on.model_copy(update={"training_files": files})
    return description.model_copy(update={"trained_on": trained_on})


def _source_files(config: Config) -> list[str]:
    """Training files of the model that ``model.weights`` names; empty where it names none, or an older one."""
    path = Path(config.model.weights)
    layout = ModelLayout(path.parent)
    if path.name != layout.weights.name or not layout.description.is_file():
        return []
    return read_model_file(path.parent).trained_on.training_files

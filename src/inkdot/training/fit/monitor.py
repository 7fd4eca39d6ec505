"""Check of the metric that chooses the best epoch, before training."""

from inkdot.config import Config
from inkdot.errors import UserError
from inkdot.evaluation.head_metrics import patient_truth
from inkdot.labels import flag_column
from inkdot.model.targets import NameArray, TargetArray


def check_monitored(targets: TargetArray, patients: NameArray, config: Config) -> None:
    """Refuse a ``training.monitor`` that is undefined on the validation patients.

    Args:
        targets: Of validation tiles or slides, shape [n, classes of all heads], NaN where unknown.
        patients: Shape [n].
        config: The whole config.

    Raises:
        UserError: It is an AUC, and a class has no patient.
    """
    if config.training.monitor != "patient_auc":
        return
    truth = patient_truth(targets[:, flag_column(config.head_records)], patients)
    positive, negative = int(truth.positive.sum()), int((truth.known & ~truth.positive).sum())
    if not (positive and negative):
        raise UserError(
            "training.monitor patient_auc: expected positive and negative validation patients, found "
            f"{positive} positive and {negative} negative ones among {len(truth.names)}; assign patients with a column split "
            "in the manifest, raise training.validation_fraction, or set training.monitor to calibrated_loss"
        )

"""What the model card says about out-of-distribution slides and images."""

from inkdot.storage.models.model_files import ModelFile


def ood_text(description: ModelFile) -> str:
    """The section of the card, as Markdown."""
    ood = description.ood
    if ood is None:
        return "The model has no reference for an OOD distance; `inkdot predict` compares scale, stain and preparation alone."
    parts = [
        "`inkdot predict` warns of slides or images whose tiles are far from the training tiles (OOD distance), and makes no "
        "call there unless `--keep-ood-calls` is given."
    ]
    if ood.false_alarm_rate is not None and ood.batch_limit is not None:
        parts.append(
            f"Limit of a single image: {ood.limit:.2f}, exceeded by about {ood.false_alarm_rate:.1%} of images like the "
            f"{ood.slides} validation images (images of one patient come together, so more in some patients and none in "
            f"most); limit of the median of a batch: {ood.batch_limit:.2f}."
        )
    if ood.auroc:
        parts.append(
            "AUROC of the distance for single validation tiles that were corrupted, against the same tiles as they are (0.5: not "
            "noticed; made shifts, which are no other laboratory):"
        )
        rows = [
            f"| {name} | {own.value:.2f} | {own.low:.2f} to {own.high:.2f} |"
            for name, own in ood.auroc.items()
        ]
        parts.append("\n".join(["| shift | AUROC | 95 % interval |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)

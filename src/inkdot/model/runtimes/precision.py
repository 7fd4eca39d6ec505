"""Numerical precision of a network: float32 or bfloat16.

A model records the precision in which its temperatures and operating point were chosen. bfloat16 is up to twice as fast
where the hardware has it, and changes scores by more than the tolerance between runtimes.
"""

from typing import Final, Literal

from inkdot.errors import UserError
from inkdot.model.runtimes.openvino_backend import cpu_has_bfloat16
from inkdot.storage.models.model_files import Precision

BOUND: Final[dict[Precision, float]] = {"float32": 1e-3, "bfloat16": 0.05}
"""Largest accepted difference between scores of two runtimes, or of float32, by the precision of the model."""


def precision_on(device_type: str, recorded: Precision, runtime: Literal["torch", "openvino"]) -> Precision:
    """Precision in which a model runs on this machine: the recorded one where possible, else float32.

    PyTorch on a CPU always uses float32, as the reference for all else.

    Args:
        device_type: torch device type, such as ``cpu`` or ``cuda``.
        recorded: The model's.
        runtime: Where the network runs.
    """
    if recorded == "float32":
        return "float32"
    supported = (
        cpu_has_bfloat16() if runtime == "openvino" else device_type == "cuda" and _cuda_has_bfloat16()
    )
    return "bfloat16" if supported else "float32"


def choose_precision(requested: Literal["auto"] | Precision, device_type: str) -> Precision:
    """Precision of a model that is trained on this machine.

    Args:
        requested: From the config; ``auto`` takes bfloat16 where this machine can predict in it.
        device_type: torch device type, such as ``cpu`` or ``cuda``.

    Raises:
        UserError: bfloat16 is requested, and this machine has none to choose an operating point in.
    """
    if requested == "float32":
        return requested
    found = precision_on(device_type, "bfloat16", "openvino" if device_type == "cpu" else "torch")
    if requested == "bfloat16" and found != requested:
        raise UserError(
            "model.precision: expected a processor with bfloat16 and the package openvino, or a GPU with bfloat16, found "
            "neither; set it to auto or float32"
        )
    return found


def precision_warnings(recorded: Precision, used: Precision) -> list[str]:
    """Warnings for scores that were computed in another precision than the model's."""
    if used == recorded:
        return []
    return [
        f"scores were computed in {used}, the model's threshold was chosen in {recorded}: they may differ by up to "
        f"{BOUND[recorded]:g}"
    ]


def _cuda_has_bfloat16() -> bool:
    import torch

    return torch.cuda.is_bf16_supported(including_emulation=False)

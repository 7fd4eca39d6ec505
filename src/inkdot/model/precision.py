"""The numbers that a network computes in.

A model records them, since its temperatures and its operating point were chosen in them: bfloat16 is up to twice as
fast where a machine has it, and moves scores by more than runtimes may differ by.
"""

from typing import Final, Literal

from inkdot.errors import UserError
from inkdot.model.openvino_backend import cpu_has_bfloat16
from inkdot.storage.model_files import Precision

BOUND: Final[dict[Precision, float]] = {"float32": 1e-3, "bfloat16": 0.05}
"""How far the scores of another runtime, or of single precision, may lie from those of a model of each precision."""


def precision_on(device_type: str, recorded: Precision, runtime: Literal["torch", "openvino"]) -> Precision:
    """What a model of this precision is computed in on this machine: the same if it can, else float32.

    PyTorch on a CPU stays with float32: there it is what everything else is compared with.

    Args:
        device_type: ``cpu``, ``cuda`` or another of torch's.
        recorded: The model's.
        runtime: What the network runs in.
    """
    if recorded == "float32":
        return "float32"
    able = cpu_has_bfloat16() if runtime == "openvino" else device_type == "cuda" and _cuda_has_bfloat16()
    return "bfloat16" if able else "float32"


def chosen_precision(wanted: Literal["auto"] | Precision, device_type: str) -> Precision:
    """The precision of a model that is made on this machine.

    Args:
        wanted: As the config has it; ``auto`` takes bfloat16 where this machine predicts in it.
        device_type: ``cpu``, ``cuda`` or another of torch's.

    Raises:
        UserError: bfloat16 is asked for, and this machine has none to choose an operating point in.
    """
    if wanted == "float32":
        return wanted
    found = precision_on(device_type, "bfloat16", "openvino" if device_type == "cpu" else "torch")
    if wanted == "bfloat16" and found != wanted:
        raise UserError(
            "model.precision: expected a processor with bfloat16 and the package openvino, or a GPU with bfloat16, found "
            "neither; set it to auto or float32"
        )
    return found


def precision_warnings(recorded: Precision, used: Precision) -> list[str]:
    """What must be said with scores that were computed in another precision than the model's."""
    if used == recorded:
        return []
    return [
        f"scores were computed in {used}, the model's threshold was chosen in {recorded}: they may differ by up to "
        f"{BOUND[recorded]:g}"
    ]


def _cuda_has_bfloat16() -> bool:
    import torch

    return torch.cuda.is_bf16_supported(including_emulation=False)

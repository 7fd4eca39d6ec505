"""The network as an OpenVINO graph, built from its weights alone: neither PyTorch nor a conversion is needed."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# openvino is only partly typed.

from typing import Any

import numpy as np
import numpy.typing as npt

from inkdot.cell_finder.finder_files import EPSILON, Weights


def openvino_graph(openvino: Any, weights: Weights, od_step: float) -> Any:
    """An OpenVINO model that takes uint8 optical densities and gives probabilities.

    The input has the shape [n, height, width, 3], the output [n, 2, height / 2, width / 2]; n, height and width are free.

    Args:
        openvino: The package.
        weights: State of a :class:`inkdot.cell_finder.network.CellFinderNetwork`.
        od_step: Optical density of one step of the input.
    """
    ops = openvino.opset13
    steps = ops.parameter([-1, -1, -1, 3], np.uint8, name="od_steps")
    planes = ops.transpose(ops.convert(steps, "f32"), np.array([0, 3, 1, 2], np.int64))

    def convolution(values: Any, name: str, layer: int, stride: int = 1) -> Any:
        kernel, bias = _folded(weights, f"{name}.{layer}", f"{name}.{layer + 1}")
        return ops.relu(_convolution(ops, values, kernel, bias, stride))

    def block(values: Any, name: str) -> Any:
        layer = 0
        while f"{name}.{layer}.weight" in weights:
            values = convolution(values, name, layer)
            layer += 3
        return values

    at1 = block(convolution(ops.multiply(planes, np.float32(od_step)), "stem", 0, stride=2), "down1")
    at2 = block(_halved(ops, at1), "down2")
    at4 = block(_halved(ops, at2), "down3")
    at8 = block(_halved(ops, at4), "down4")
    up = block(ops.concat([_doubled(ops, at8), at4], 1), "up3")
    up = block(ops.concat([_doubled(ops, up), at2], 1), "up2")
    up = block(ops.concat([_doubled(ops, up), at1], 1), "up1")
    logits = _convolution(ops, up, weights["head.weight"], weights["head.bias"], 1)
    return openvino.Model([ops.sigmoid(logits)], [steps], "cell_finder")


def _folded(
    weights: Weights, convolution: str, norm: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Kernel and bias of a convolution and the batch normalisation after it."""
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + np.float32(EPSILON))
    kernel = weights[f"{convolution}.weight"] * scale[:, None, None, None]
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return kernel.astype(np.float32), bias.astype(np.float32)


def _convolution(
    ops: Any, values: Any, kernel: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], stride: int
) -> Any:
    pad = [kernel.shape[2] // 2] * 2
    product = ops.convolution(
        values, np.ascontiguousarray(kernel, np.float32), [stride] * 2, pad, pad, [1, 1]
    )
    return ops.add(product, np.ascontiguousarray(bias.reshape(1, -1, 1, 1), np.float32))


def _halved(ops: Any, values: Any) -> Any:
    return ops.max_pool(values, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)


def _doubled(ops: Any, values: Any) -> Any:
    return ops.interpolate(
        values,
        np.array([2.0, 2.0], np.float32),
        "linear_onnx",
        "scales",
        coordinate_transformation_mode="half_pixel",
        axes=np.array([2, 3], np.int64),
    )

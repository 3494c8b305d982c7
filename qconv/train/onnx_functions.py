"""What torch calls the operators of ONNX: for each the function, its arguments, and those with names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional

from qconv.errors import ModelError
from qconv.model.graph import attr_float, attr_int, attr_ints, attr_str, const_array

from .onnx_moves import MOVES, PASSING_MOVES, Call, Rule, ints, padded

_PADS = {3: functional.max_pool1d, 4: functional.max_pool2d, 5: functional.max_pool3d}
_AVERAGES = {3: functional.avg_pool1d, 4: functional.avg_pool2d, 5: functional.avg_pool3d}


def _plain(function: Callable[..., Any]) -> Callable[[ir.Node], Call]:
    """A function of the inputs alone."""
    return lambda node: (function, tuple(node.inputs), {})


def _clip(node: ir.Node) -> Call:
    ends = [const_array(value) for value in (*node.inputs[1:3], None, None)[:2]]
    low, high = (None if end is None else float(end) for end in ends)
    return torch.clamp, (node.inputs[0], low, high), {}


def _pool(functions: Mapping[int, Callable[..., Any]]) -> Callable[[ir.Node], Call]:
    def rule(node: ir.Node) -> Call:
        kernel = attr_ints(node, "kernel_shape", [])
        pads = attr_ints(node, "pads", [0] * 2 * len(kernel))
        alike = pads[: len(kernel)] == pads[len(kernel) :] and all(
            2 * pad <= size for pad, size in zip(pads, kernel, strict=False)
        )
        largest = node.op_type == "MaxPool"
        if len(node.outputs) > 1 or not (alike or largest or attr_int(node, "count_include_pad", 0)):
            raise ModelError(
                f"node {node.name} ({node.op_type}) pads in a way that torch does not; train the network from its source"
            )
        named: dict[str, Any] = {"stride": attr_ints(node, "strides", [1] * len(kernel))}
        named |= {"padding": pads[: len(kernel)]} if alike else {}
        if largest:
            named["ceil_mode"] = bool(attr_int(node, "ceil_mode", 0))
            named["dilation"] = attr_ints(node, "dilations", [1] * len(kernel))
        else:
            if attr_int(node, "ceil_mode", 0):
                raise ModelError(f"node {node.name} (AveragePool) rounds its size up; train the network from its source")
            named["count_include_pad"] = bool(attr_int(node, "count_include_pad", 0))
        if alike:
            return functions[len(kernel) + 2], (node.inputs[0], kernel), named
        outer = _max_padded if largest else _average_padded
        return outer, (node.inputs[0], pads, kernel), named

    return rule


def _max_padded(x: Tensor, pads: list[int], kernel: list[int], stride: list[int], ceil_mode: bool, dilation: list[int]) -> Tensor:
    result: Tensor = _PADS[x.ndim](padded(x, pads, -torch.inf), kernel, stride, 0, dilation, ceil_mode)
    return result


def _average_padded(x: Tensor, pads: list[int], kernel: list[int], stride: list[int], count_include_pad: bool) -> Tensor:
    assert count_include_pad
    result: Tensor = _AVERAGES[x.ndim](padded(x, pads, 0.0), kernel, stride)
    return result


def global_average(x: Tensor) -> Tensor:
    """The mean of all positions of each channel."""
    return x.mean(tuple(range(2, x.ndim)), keepdim=True)


def _global_max(x: Tensor) -> Tensor:
    return x.amax(tuple(range(2, x.ndim)), keepdim=True)


def _resize(node: ir.Node) -> Call:
    before, after = node.inputs[0], node.outputs[0]
    sizes = [value.shape[2:] if value is not None and value.shape is not None else None for value in (before, after)]
    known = [list(size) for size in sizes if size is not None and all(isinstance(n, int) for n in size)]
    if attr_str(node, "mode", "nearest") != "nearest" or len(known) != 2 or any(b % a for a, b in zip(*known, strict=True)):
        raise ModelError(f"node {node.name} (Resize) repeats no whole number of times; train the network from its source")
    return functional.interpolate, (node.inputs[0],), {"size": known[1], "mode": "nearest"}


def _layer_norm(node: ir.Node) -> Call:
    axis, epsilon = attr_int(node, "axis", -1), attr_float(node, "epsilon", 1e-5)
    shape = node.inputs[1].shape if node.inputs[1] is not None else None
    if axis != -1 or shape is None or len(shape) != 1:
        raise ModelError(f"node {node.name} (LayerNormalization) spans several axes; train the network from its source")
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    return functional.layer_norm, (node.inputs[0], list(shape), node.inputs[1], bias, epsilon), {}


def _softmax(node: ir.Node) -> Call:
    return torch.softmax, (node.inputs[0], attr_int(node, "axis", -1)), {}


def _leaky(node: ir.Node) -> Call:
    return functional.leaky_relu, (node.inputs[0], attr_float(node, "alpha", 0.01)), {}


def _hard_sigmoid(x: Tensor, alpha: float, beta: float) -> Tensor:
    return torch.clamp(x * alpha + beta, 0.0, 1.0)


def _gated(node: ir.Node) -> Call:
    return _hard_sigmoid, (node.inputs[0], attr_float(node, "alpha", 0.2), attr_float(node, "beta", 0.5)), {}


def _gelu(node: ir.Node) -> Call:
    return functional.gelu, (node.inputs[0],), {"approximate": attr_str(node, "approximate", "none")}


def _mean(node: ir.Node) -> Call:
    return torch.mean, (node.inputs[0], tuple(ints(node, 1))), {"keepdim": bool(attr_int(node, "keepdims", 1))}


FUNCTIONS: Mapping[str, Rule] = {
    **MOVES,
    "Add": _plain(torch.add),
    "Sub": _plain(torch.sub),
    "Mul": _plain(torch.mul),
    "Div": _plain(torch.div),
    "MatMul": _plain(torch.matmul),
    "Relu": _plain(torch.relu),
    "Sigmoid": _plain(torch.sigmoid),
    "Tanh": _plain(torch.tanh),
    "Erf": _plain(torch.erf),
    "Exp": _plain(torch.exp),
    "Sqrt": _plain(torch.sqrt),
    "Softplus": _plain(functional.softplus),
    "HardSwish": _plain(functional.hardswish),
    "Identity": _plain(torch.clone),
    "GlobalAveragePool": _plain(global_average),
    "GlobalMaxPool": _plain(_global_max),
    "Abs": _plain(torch.abs),
    "Neg": _plain(torch.neg),
    "Pow": _plain(torch.pow),
    "Clip": _clip,
    "LeakyRelu": _leaky,
    "HardSigmoid": _gated,
    "Gelu": _gelu,
    "Softmax": _softmax,
    "LayerNormalization": _layer_norm,
    "Resize": _resize,
    "MaxPool": _pool(_PADS),
    "AveragePool": _pool(_AVERAGES),
    "ReduceMean": _mean,
    "Where": _plain(torch.where),
    "Equal": _plain(torch.eq),
    "Greater": _plain(torch.gt),
    "GreaterOrEqual": _plain(torch.ge),
    "Less": _plain(torch.lt),
    "LessOrEqual": _plain(torch.le),
    "Not": _plain(torch.logical_not),
    "And": _plain(torch.logical_and),
    "Or": _plain(torch.logical_or),
}
PASSING = (_global_max, _max_padded, *PASSING_MOVES)  # functions of this file, and of moves, that move values only

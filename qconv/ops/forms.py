"""The forms of an op that matter to quantization, read off a node of the prepared float graph."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.graph import attr_float, attr_int, attr_ints, attr_str, const_array
from qconv.model.traits import Trait, has_trait, key_of


def is_convolution(node: ir.Node) -> bool:
    """Whether a node slides a weight [O, I / group, *kernel] over its input."""
    return key_of(node) == ("", "Conv")


def signs_of_sum(node: ir.Node) -> tuple[float, float]:
    """With which signs Add and Sub take their two operands."""
    return 1.0, -1.0 if node.op_type == "Sub" else 1.0


def by_phases(node: ir.Node) -> bool:
    """Whether a node's weight is taken apart into phases before a kernel sees it: a transposed convolution."""
    return key_of(node) == ("", "ConvTranspose")


def scalar_factor(node: ir.Node) -> float | None:
    """c of Mul(x, c) where c is a positive constant scalar: then the codes stay and S_y = c S_x."""
    for index in (0, 1):
        array = const_array(node.inputs[index])
        if array is not None and array.size == 1 and const_array(node.inputs[1 - index]) is None:
            factor = float(array.reshape(()))
            other = node.inputs[1 - index]
            widens = other is None or other.shape is None or array.ndim > len(other.shape)
            return factor if math.isfinite(factor) and factor > 0 and not widens else None
    return None


def bias_of(node: ir.Node) -> NDArray[np.floating] | None:
    """The constant bias of a weighted node, flat, or None."""
    found = const_array(node.inputs[2]) if len(node.inputs) > 2 else None
    return None if found is None else found.reshape(-1)


def clamp_bounds(node: ir.Node) -> tuple[float, float] | None:
    """The interval that a Relu or Clip keeps its output in; None for any other op, and where a bound is computed."""
    if not has_trait(node, Trait.CLAMPS):
        return None
    if node.op_type == "Relu":
        return 0.0, math.inf
    bounds = [-math.inf, math.inf]
    for place, value in enumerate(node.inputs[1:3]):
        array = const_array(value)
        if value is not None and array is None:
            return None
        if array is not None and array.size == 1:
            bounds[place] = float(array.reshape(()))
    return bounds[0], bounds[1]


def averages_whole_windows(node: ir.Node) -> bool:
    """Whether an AveragePool always divides by the full kernel size: it then is a depthwise convolution."""
    padded = any(attr_ints(node, "pads", [])) or attr_str(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")
    includes = attr_int(node, "count_include_pad", 0) == 1
    return attr_int(node, "ceil_mode", 0) == 0 and (includes or not padded) and _channels(node.inputs[0]) is not None


def output_channels(node: ir.Node) -> int:
    """How many outputs the constant weight of a layer has; those of a batch of matrices count once."""
    weight = node.inputs[1]
    assert weight is not None and weight.shape is not None
    sizes = weight.shape.numpy()
    if node.op_type == "ConvTranspose":
        return sizes[1] * attr_int(node, "group", 1)
    axis = channel_axis(node)
    return sizes[-1 if axis is None else axis]


def channel_axis(node: ir.Node) -> int | None:
    """The axis of the weight that counts output channels; None where one scale must serve (batched constants)."""
    weight = node.inputs[1]
    rank = len(weight.shape) if weight is not None and weight.shape is not None else 0
    match node.op_type:
        case "Conv":
            return 0
        case "ConvTranspose":
            return 1  # of the weight by channels
        case "Gemm":
            return 0 if attr_int(node, "transB", 0) else 1
        case "MatMul":
            return 1 if rank == 2 else None
        case _:
            return None


def by_channels(node: ir.Node, weight: NDArray[np.floating]) -> NDArray[np.floating]:
    """The weight with one axis for its output channels: of a grouped ConvTranspose [Cin / g, Cout, *kernel], else as it is."""
    group = attr_int(node, "group", 1) if node.op_type == "ConvTranspose" else 1
    if group == 1:
        return weight
    inputs, outputs, *kernel = weight.shape
    split = np.moveaxis(weight.reshape(group, inputs // group, outputs, *kernel), 0, 1)
    return split.reshape(inputs // group, group * outputs, *kernel)


def of_channels(node: ir.Node, weight: NDArray[np.floating]) -> NDArray[np.floating]:
    """The inverse of `by_channels`."""
    group = attr_int(node, "group", 1) if node.op_type == "ConvTranspose" else 1
    if group == 1:
        return weight
    inputs, outputs, *kernel = weight.shape
    split = np.moveaxis(weight.reshape(inputs, group, outputs // group, *kernel), 1, 0)
    return split.reshape(group * inputs, outputs // group, *kernel)


def inner_size(node: ir.Node) -> int | None:
    """The number of products that a MatMul sums up, or None where neither operand tells."""
    for value, axis in zip(node.inputs, (-1, -2), strict=False):
        shape = value.shape if value is not None else None
        size = shape[max(axis, -len(shape))] if shape is not None and len(shape) else None
        if isinstance(size, int):
            return size
    return None


def row_size(node: ir.Node) -> int | None:
    """The size of the last axis of a node's first input, or None where it is not known."""
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    size = shape[-1] if shape is not None and len(shape) else None
    return size if isinstance(size, int) else None


def reduced_axes(node: ir.Node) -> tuple[int, ...] | None:
    """The axes of a reduction or of a global pool, from the first; None where they are not known."""
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    if shape is None:
        return None
    if node.op_type.startswith("Global"):
        return tuple(range(2, len(shape)))
    given = node.inputs[1] if len(node.inputs) > 1 else None
    array = const_array(given)
    if given is not None and array is None:
        return None
    axes = attr_ints(node, "axes", []) if array is None else [int(axis) for axis in np.ravel(array)]
    if not axes:
        return () if attr_int(node, "noop_with_empty_axes", 0) else tuple(range(len(shape)))
    return tuple(sorted(axis % len(shape) for axis in axes))


def reduced_size(node: ir.Node) -> int | None:
    """How many elements a reduction adds up for each of its outputs; None where that is not known."""
    axes, shape = reduced_axes(node), node.inputs[0].shape if node.inputs[0] is not None else None
    sizes = [] if axes is None or shape is None else [shape[axis] for axis in axes]
    known = [size for size in sizes if isinstance(size, int)]
    return math.prod(known) if axes is not None and len(known) == len(sizes) else None


def reads_probabilities(node: ir.Node) -> bool:
    """Whether the rows of a MatMul's first operand come from a Softmax, so that each sums to 1 however long it is."""
    maker = node.inputs[0].producer() if node.inputs[0] is not None else None
    if maker is None or maker.op_type != "Softmax" or maker.outputs[0].shape is None:
        return False
    return attr_int(maker, "axis", -1) in (-1, len(maker.outputs[0].shape) - 1)


def summed_axes(node: ir.Node) -> tuple[int, ...]:
    """The axes of the weight that one accumulator sums over."""
    weight = node.inputs[1]
    assert weight is not None and weight.shape is not None
    rank = len(weight.shape)
    match node.op_type:
        case "Conv":
            return tuple(range(1, rank))
        case "ConvTranspose":
            return (0, *range(2, rank))
        case "Gemm":
            return (1,) if attr_int(node, "transB", 0) else (0,)
        case _:
            return (max(rank - 2, 0),)


def _channels(value: ir.Value | None) -> int | None:
    """The static size of axis 1, or None."""
    if value is None or value.shape is None or len(value.shape) < 2:
        return None
    size = value.shape[1]
    return size if isinstance(size, int) else None


def gate_reach(node: ir.Node) -> tuple[float, float]:
    """The interval outside of which a Sigmoid or HardSigmoid is 0 or 1, but for 0.0003."""
    if node.op_type == "Sigmoid":
        return -8.0, 8.0
    alpha, beta = attr_float(node, "alpha", 0.2), attr_float(node, "beta", 0.5)
    return (-beta / alpha, (1.0 - beta) / alpha) if alpha > 0 else (-math.inf, math.inf)


def as_groups(node: ir.Node, weight: NDArray[np.floating]) -> NDArray[np.floating]:
    """The weight of a layer as [groups, outputs of a group, inputs of a group, positions]."""
    group, kernel = attr_int(node, "group", 1), weight.shape[2:]
    match node.op_type:
        case "Conv":
            return weight.reshape(group, weight.shape[0] // group, weight.shape[1], math.prod(kernel))
        case "ConvTranspose":
            split = weight.reshape(group, weight.shape[0] // group, weight.shape[1], math.prod(kernel))
            return split.swapaxes(1, 2)
        case _:
            outputs_first = node.op_type == "Gemm" and attr_int(node, "transB", 0)
            return (weight if outputs_first else weight.T)[None, :, :, None]


def uses_of_weight(node: ir.Node) -> int | None:
    """How often a layer uses each weight for one sample; None where the sizes of its output are not known."""
    weight, shape = const_array(node.inputs[1]), node.outputs[0].shape
    if weight is None or shape is None:
        return None
    sizes = list(shape[2:] if weight.ndim > 2 else shape[1:-1])
    known = [size for size in sizes if isinstance(size, int)]
    return math.prod(known) if len(known) == len(sizes) else None


def of_groups(node: ir.Node, groups: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.floating]:
    """The inverse of `as_groups` for a weight of this shape."""
    match node.op_type:
        case "Conv":
            return groups.reshape(shape)
        case "ConvTranspose":
            return groups.swapaxes(1, 2).reshape(shape)
        case _:
            outputs_first = node.op_type == "Gemm" and attr_int(node, "transB", 0)
            return groups[0, :, :, 0] if outputs_first else groups[0, :, :, 0].T


def is_table_lookup(node: ir.Node) -> bool:
    """Whether a node takes rows out of its first input."""
    return key_of(node) == ("", "Gather") and attr_int(node, "axis", 0) == 0


def compares_with_infinity(node: ir.Node) -> bool:
    """Whether a node asks if values are infinite, as of a row that is masked as a whole."""
    arrays = [const_array(value) for value in node.inputs if value is not None and has_trait(node, Trait.COMPARES)]
    return any(array is not None and array.dtype.kind == "f" and not np.isfinite(array).all() for array in arrays)

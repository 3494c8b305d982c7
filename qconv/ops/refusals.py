"""Why a form of an op has no integer form: each sentence says what is in the way and what to try."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from qconv.model.graph import attr_float, attr_int, attr_ints, attr_str, const_array
from qconv.ops.forms import (
    averages_whole_windows,
    compares_with_infinity,
    inner_size,
    reads_probabilities,
    reduced_axes,
    row_size,
)
from qconv.quant.reciprocal_root import LONGEST_ROW

LARGEST_INNER = 33_025  # 255 * 255 * 33,025 < 2^31: more products of 8-bit codes may leave int32


def needs_constant(*indices: int) -> Callable[[ir.Node], str | None]:
    """Refuses where one of these inputs is computed at run time."""

    def refuse(node: ir.Node) -> str | None:
        for index in indices:
            value = node.inputs[index] if index < len(node.inputs) else None
            if value is not None and const_array(value) is None:
                return f"its input {index} ({value.name}) is computed at run time; make it a constant"
        return None

    return refuse


def refuse_conv(node: ir.Node) -> str | None:
    """Padding must be known, weight and bias constant."""
    if attr_str(node, "auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        return "its auto_pad depends on a size that is not known; export it with explicit pads or fixed sizes"
    return needs_constant(1, 2)(node)


def refuse_conv_transpose(node: ir.Node) -> str | None:
    """What can be put together from phases: pictures, and a crop that cuts and does not add."""
    weight = const_array(node.inputs[1])
    if weight is None or weight.ndim != 4:
        return needs_constant(1)(node) or "only two-dimensional transposed convolutions have an integer form"
    strides, pads = attr_ints(node, "strides", [1, 1]), attr_ints(node, "pads", [0, 0, 0, 0])
    more = attr_ints(node, "output_padding", [0, 0])
    if len(set(strides)) > 1 and not _sizes_known(node.inputs[0]):
        return "its strides differ between the axes, and the sizes of its input are not known; give the model's inputs a size"
    if node.attributes.get("output_shape") is not None or attr_str(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return "its padding follows from a size; export it with explicit pads"
    sizes = zip(weight.shape[2:], strides, pads[2:], more, strict=True)
    reach = [-(-k // stride) * stride - k + pad - extra for k, stride, pad, extra in sizes]
    if min(reach) < 0:
        return "its output_padding reaches beyond the last tap; export it with pads that cut as much"
    return needs_constant(2)(node)


def _sizes_known(value: ir.Value | None) -> bool:
    """Whether all axes but the first are known."""
    return value is not None and value.shape is not None and all(isinstance(size, int) for size in list(value.shape)[1:])


def refuse_gemm(node: ir.Node) -> str | None:
    """Preparation leaves alpha = beta = 1 and transA = 0 where it can."""
    if attr_int(node, "transA", 0) or attr_float(node, "alpha", 1.0) != 1.0 or attr_float(node, "beta", 1.0) != 1.0:
        return "its alpha, beta or transA could not be folded; write it as MatMul and Add"
    return needs_constant(1, 2)(node)


def refuse_matmul(node: ir.Node) -> str | None:
    """Sums of products of two activations must fit in int32, or onnxruntime wraps around; weights are bounded by the plan."""
    inner = inner_size(node)
    if const_array(node.inputs[1]) is not None or reads_probabilities(node) or (inner is not None and inner <= LARGEST_INNER):
        return None
    many = "an unknown number of" if inner is None else f"{inner:,}"
    return (
        f"its sums of {many} products of two activations may leave int32; export it with a fixed inner size of at most "
        f"{LARGEST_INNER:,}"
    )


def refuse_resize(node: ir.Node) -> str | None:
    """Refuses a Resize but for nearest neighbours, which are exact on codes; preparation has written others as products."""
    if attr_str(node, "mode", "nearest") != "nearest":
        return (
            "it interpolates, which has an integer form where the sizes of the last two axes are known and the others stay; give "
            "the model's inputs a size, or use mode nearest"
        )
    return None


def refuse_norm(node: ir.Node) -> str | None:
    """Rows of a known size along the last axis; their means and deviations have no codes."""
    rank = None if node.inputs[0] is None or node.inputs[0].shape is None else len(node.inputs[0].shape)
    if rank is None or attr_int(node, "axis", -1) % rank != rank - 1:
        return "it normalizes over several axes, or its rank is not known; write it as a norm over the last axis"
    if row_size(node) is None:
        return "the size of its rows is not known; give the model's inputs a shape"
    if (row_size(node) or 0) > LONGEST_ROW:
        return f"its rows have more than {LONGEST_ROW:,} elements; normalize over fewer"
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return "its mean or its deviation is used, which have no codes; compute them apart"
    factors = [const_array(value) for value in node.inputs[1:] if value is not None]
    if any(array is not None and array.size not in (1, row_size(node)) for array in factors):
        return "its scale or bias is no vector along the last axis; multiply and add behind it"
    return needs_constant(1, 2)(node)


def refuse_scatter(node: ir.Node) -> str | None:
    """Refuses a scatter that adds or multiplies: only what takes the place of elements has codes."""
    if attr_str(node, "reduction", "none") != "none":
        return "it adds or multiplies what meets at one place; write it as a sum or product"
    return None


def refuse_reduction(node: ir.Node) -> str | None:
    """Refuses a reduction without known axes, which say how many codes are added."""
    if not reduced_axes(node):
        return "its axes are computed at run time, or its rank is not known; make them constant and give the inputs a shape"
    return None


def refuse_cast(node: ir.Node) -> str | None:
    """Integers can become codes; the other way, and between float types, there is nothing to count."""
    value, output = node.inputs[0], node.outputs[0]
    if value is None or value.dtype is None or value.dtype.is_floating_point() or output.dtype is not ir.DataType.FLOAT:
        return "it casts from or to a float type within the network; keep reals in float32 and integers apart"
    return None


def refuse_pad(node: ir.Node) -> str | None:
    """Refuses a Pad but for modes with an integer kernel, and a constant value."""
    if attr_str(node, "mode", "constant") not in ("constant", "reflect", "edge"):
        return "only the modes constant, reflect and edge have an integer kernel"
    return needs_constant(2)(node)


def refuse_concat_of_constants(node: ir.Node) -> str | None:
    """Refuses a Concat of constants: there is nothing to quantize."""
    return "it joins constants only" if all(const_array(v) is not None for v in node.inputs) else None


def needs_rank(node: ir.Node) -> str | None:
    """Refuses an input of unknown rank where the op counts axes."""
    value = node.inputs[0]
    if value is None or value.shape is None:
        return "the rank of its input is not known; give the model's inputs a shape"
    return None


def refuse_pool(node: ir.Node) -> str | None:
    """Indices have no codes, and padding must be known."""
    if len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        return "its second output (indices) is used, which has no integer form"
    if attr_str(node, "auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        return "its auto_pad depends on a size that is not known; export it with explicit pads or fixed sizes"
    return None


def refuse_average_pool(node: ir.Node) -> str | None:
    """Windows of different sizes go to QLinearAveragePool, which has no dilations and counts what lies beyond the padding."""
    if not averages_whole_windows(node):
        if attr_int(node, "count_include_pad", 0) and attr_int(node, "ceil_mode", 0):
            return "onnxruntime's integer pool miscounts where ceil_mode lets a window reach beyond the padding; use floor"
        if any(size != 1 for size in attr_ints(node, "dilations", [1])):
            return "onnxruntime's integer pool has no dilations where windows leave the map; use other pads"
    return refuse_pool(node)


def refuse_power(node: ir.Node) -> str | None:
    """Refuses a power of many exponents: a table has one."""
    exponent = const_array(node.inputs[1])
    if exponent is not None and exponent.size != 1:
        return "it has several exponents, and a table of codes holds one; split it by exponent"
    return needs_constant(1)(node)


def refuse_infinite_constant(node: ir.Node) -> str | None:
    """No code stands for an infinity."""
    return "it compares with an infinity, which no code stands for" if compares_with_infinity(node) else None

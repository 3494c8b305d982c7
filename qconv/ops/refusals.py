"""Why a form of an op has no integer form: each sentence says what is in the way and what to try."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
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

_MOST_ROWS = 4096  # of a table by the constants of a node
LARGEST_INNER = 33_025  # 255 * 255 * 33,025 < 2^31: more products of 8-bit codes may leave int32


_RANDOM = "it draws random numbers, which no calibration foresees; take it out for inference, or give what it draws as an input"
_BODY = (
    "its body stays in float, as its steps are not known to be 32 or fewer; give the model's inputs a size, or export "
    "the network with the steps written out"
)
_WITHOUT_ROW = {
    **dict.fromkeys(["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike"], _RANDOM),
    **dict.fromkeys(["RandomUniform", "RandomUniformLike"], _RANDOM),
    "DeformConv": "it samples between elements at places that are computed; use a convolution, or leave it in float",
    "GridSample": "it samples between elements at places that are computed; make its grid a constant, or leave it in float",
    "RoiAlign": "its boxes are computed, or it takes maxima; make them constants, or let the network end in front of it",
    "MaxRoiPool": "onnxruntime has no integer kernel for it; pool windows of a fixed size, or use RoiAlign of constant boxes",
    "Unique": "codes merge values that are close, so that the number of its results would be another; compute it outside",
    "NonMaxSuppression": "it divides areas of boxes, for which onnxruntime has a float kernel only; let the network end with "
    "boxes and scores, and suppress outside",
    "Inverse": "it divides by differences of products, which 8 bits do not hold; compute it outside",
    "Det": "it is a difference of products of more than 2 x 2 elements, which 8 bits do not hold; compute it outside",
    "ReduceProd": "its axes are not constant or have a size that is not known; give the model's inputs a size",
    "DFT": "only that of reals along the last axis but one, of a known size, is integer; write it as a product with a matrix",
    "If": "which branch runs is decided at run time, and both can be computed only where all sizes in them are known and their "
    "results have the same ones; give the model's inputs a size, or fix with --pin the input that decides",
    **dict.fromkeys(["Loop", "Scan"], _BODY),
    "GroupQueryAttention": "how much of its cache counts is decided at run time; export it with the Attention of opset 23",
    "STFT": "it has no integer form here; write its frames as a convolution with a constant weight",
}


def without_row(node: ir.Node) -> str:
    """Why an op that the table has no row for stays in float: for some there is more to say than that."""
    usual = f"{node.op_type} has no integer form here; rewrite it with supported ops (docs/ops.md) or accept a float island"
    return _WITHOUT_ROW.get(node.op_type, usual)


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
    """The bias must be constant, and the sums of a computed weight must fit in int32."""
    weight = node.inputs[1]
    if weight is not None and const_array(weight) is None:
        sizes = [] if weight.shape is None else [size for size in weight.shape[1:] if isinstance(size, int)]
        if weight.shape is None or len(sizes) < len(weight.shape) - 1 or math.prod(sizes) > LARGEST_INNER:
            return (
                f"the size of its weight ({weight.name}), which is computed, is not known or more than {LARGEST_INNER:,} for "
                "each output; give the model's inputs a size, or make the weight a constant"
            )
    return needs_constant(2)(node)


def refuse_conv_transpose(node: ir.Node) -> str | None:
    """What can be put together from phases: two or three axes, and a crop that cuts and does not add."""
    weight = const_array(node.inputs[1])
    if weight is None or weight.ndim not in (4, 5):
        return needs_constant(1)(node) or "only transposed convolutions over one, two or three axes have an integer form"
    rank = weight.ndim - 2
    strides, pads = attr_ints(node, "strides", [1] * rank), attr_ints(node, "pads", [0, 0] * rank)
    more = attr_ints(node, "output_padding", [0] * rank)
    if (len(set(strides)) > 1 or (rank > 2 and max(strides) > 1)) and not _sizes_known(node.inputs[0]):
        return "its phases cannot be joined without the sizes of its input; give the model's inputs a size"
    if node.attributes.get("output_shape") is not None or attr_str(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return "its padding follows from a size; export it with explicit pads"
    sizes = zip(weight.shape[2:], strides, pads[rank:], more, strict=True)
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
    """Refuses a Cast but from integers to codes, or from codes to integers; not between float types."""
    value, output = node.inputs[0], node.outputs[0]
    types = [None if tensor is None else tensor.dtype for tensor in (value, output)]
    floats = [dtype is not None and dtype.is_floating_point() for dtype in types]
    if None in types or all(floats) or any(f and dtype is not ir.DataType.FLOAT for f, dtype in zip(floats, types, strict=True)):
        return "it casts from or to another float type within the network; keep reals in float32"
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
    """Padding must be known."""
    if attr_str(node, "auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        return "its auto_pad depends on a size that is not known; export it with explicit pads or fixed sizes"
    return refuse_large_window(node)


def refuse_large_window(node: ir.Node) -> str | None:
    """onnxruntime takes a window beyond the padded map, and gives one number for what it sees of it."""
    x, kernel = node.inputs[0], attr_ints(node, "kernel_shape", ())
    if x is None or x.shape is None or len(x.shape) != len(kernel) + 2:
        return None
    rank, pads = len(kernel), attr_ints(node, "pads", [0] * 2 * len(kernel))
    for axis, (size, reach) in enumerate(zip(list(x.shape)[2:], kernel, strict=True)):
        extent = attr_ints(node, "dilations", [1] * rank)[axis] * (reach - 1) + 1
        if isinstance(size, int) and extent > size + pads[axis] + pads[axis + rank]:
            return f"its window of {extent} is larger than its map of {size} with padding; use a smaller one"
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
    """A table holds a row for each exponent, or for each divisor."""
    constant = const_array(node.inputs[1])
    if constant is not None and len(np.unique(constant)) > _MOST_ROWS:
        return f"its second operand has more than {_MOST_ROWS} different values, and a table a row for each; use fewer"
    return None


def refuse_infinite_constant(node: ir.Node) -> str | None:
    """No code stands for an infinity."""
    return "it compares with an infinity, which no code stands for" if compares_with_infinity(node) else None


_USUAL = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}


def refuse_recurrent(node: ir.Node) -> str | None:
    """Refuses other functions than the usual ones, other layouts, and sequences that end early and run backwards."""
    functions, direction = node.attributes.get("activations"), attr_str(node, "direction", "forward")
    count = 2 if direction == "bidirectional" else 1
    if functions is not None and list(functions.as_strings()) != _USUAL[node.op_type] * count:
        return "its functions are not the usual ones, whose tables are bounded; train it with sigmoid and tanh"
    if attr_int(node, "input_forget", 0) or attr_int(node, "layout", 0):
        return "its gates are coupled, or its batch comes first; write it with layout 0 and a forget gate of its own"
    if direction != "forward" and len(node.inputs) > 4 and node.inputs[4] is not None:
        return "it runs backwards over sequences of different lengths; reverse them in front of it (ReverseSequence)"
    return needs_constant(1, 2, 3, 7)(node)

"""C statements of what sums up: layers, pools, means, reductions, Softmax."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from qconv.export.c import ends, kernels
from qconv.export.c.writer import C_TYPES, Writer, dtype, ints, limits, pair, refused
from qconv.export.network import Node

_ROW = 192  # elements of a row that is long enough for its loops


def conv(writer: Writer, node: Node) -> list[str]:
    """Calls a convolution: by rows where an output channel reads one map and rows are long, by windows else."""
    x, weight = node.inputs[:2]
    shape, taps, out = writer.tensor(x).shape, writer.tensor(weight).shape, writer.tensor(node.output).shape
    writer.kernels.setdefault("conv_shape", kernels.CONV)
    # A window of one map serves all output channels of its group; a row pays where it is longer than the window.
    by_rows = taps[1] == 1 and (node.attributes["group"] != 1 or out[-1] >= math.prod(taps[2:]))
    kernel, text = ("rows", kernels.DEPTHWISE) if by_rows else ("conv", kernels.DENSE)
    form = ends.form_of(node)
    name = ends.suffixed(kernel, form)
    writer.use(name, ends.made(writer, text, form), X=dtype(writer, x), W=dtype(writer, weight))
    name = f"{name}_{dtype(writer, x)}_{dtype(writer, weight)}"
    (height, width), (out_height, out_width) = pair(shape[2:], 1), pair(out[2:], 1)
    pairs = [
        *pair(taps[2:], 1), *pair(ints(node, "strides"), 1), *pair(ints(node, "dilations"), 1),
        *pair(ints(node, "pads"), 0),
    ]  # fmt: skip
    band = _band(writer, pairs, out_height, out_width) if by_rows else 0
    if not by_rows:
        writer.patch = max(writer.patch, math.prod(taps[1:]))
    a = node.attributes
    per_channel = int(len(node.rescales[0].m0) > 1)
    fields = [
        shape[1],
        height,
        width,
        out[1],
        out_height,
        out_width,
        a["group"],
        *pairs,
        a["x_zero_point"],
        a["y_zero_point"],
        per_channel,
        band,
    ]
    return conv_calls(writer, node, name, fields, "sums, patch" if by_rows else "patch")


def _band(writer: Writer, pairs: Sequence[int], out_height: int, out_width: int) -> int:
    """Returns how many rows of a map are made at once, and makes room for them in the scratch memory."""
    kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x = pairs[:6]
    wide = (out_width - 1) * stride_x + (kernel_width - 1) * dilation_x + 1
    band = max(1, min(out_height, _ROW // wide))
    joined = band if stride_y == stride_x == 1 else 1
    writer.scratch = max(writer.scratch, (joined - 1) * wide + out_width)
    writer.patch = max(writer.patch, ((band - 1) * stride_y + (kernel_height - 1) * dilation_y + 1) * wide)
    return band


def conv_calls(
    writer: Writer, node: Node, kernel: str, shape: Sequence[object], last: str, kind: str = "conv_shape"
) -> list[str]:
    """Calls a kernel for each sample with x, weight, bias, multipliers, shifts, y, what is `last`, and the shape."""
    x, weight, *bias = (writer.names[name] for name in node.inputs)
    m, s = ends.constants(writer, node)
    samples = writer.tensor(node.inputs[0]).shape[0]
    each, made = (math.prod(writer.tensor(name).shape[1:]) for name in (node.inputs[0], node.output))
    calls = [
        f"{kernel}({x} + {sample * each}, {weight}, {bias[0] if bias else '0'}, {m}, {s}, "
        f"{writer.names[node.output]} + {sample * made}, {last}, &shape);"
        for sample in range(samples)
    ]
    return [f"static const {kind} shape = {{{', '.join(map(str, shape))}}};", *calls]


def matmul(writer: Writer, node: Node) -> list[str]:
    """Computes a product of matrices row by row, and rescales it where the node has a rescaling."""
    a, b, *bias = node.inputs
    left, right = writer.tensor(a), writer.tensor(b)
    types = {"A": dtype(writer, a), "B": dtype(writer, b)}
    name = writer.use("row", kernels.MATMUL, **types)
    left_shape = (1, *left.shape) if len(left.shape) == 1 else left.shape
    right_shape = (*right.shape, 1) if len(right.shape) == 1 else right.shape
    (rows, inner), columns = left_shape[-2:], right_shape[-1]
    batch = np.broadcast_shapes(left_shape[:-2], right_shape[:-2])
    sizes = math.prod(batch)
    count = [math.prod(shape[:-2]) for shape in (left_shape, right_shape)]
    if any(number not in (1, sizes) for number in count):
        raise refused(node, "its batches broadcast along several axes")
    writer.scratch = max(writer.scratch, columns)
    steps = [f"p * {rows * inner}" if count[0] > 1 else "0", f"p * {inner * columns}" if count[1] > 1 else "0"]
    given = writer.names[bias[0]] if bias else "0"
    z = node.attributes
    operands = f"{writer.names[a]} + {steps[0]} + r * {inner}, {writer.names[b]} + {steps[1]}"
    row = f"{name}({operands}, {given}, sums, {inner}, {columns}, {z['a_zero_point']}, {z['b_zero_point']});"
    target = f"{writer.names[node.output]}[(p * {rows} + r) * {columns} + n]"
    if node.rescales:
        made = code_of_sum(writer, node)
    else:
        made = "sums[n]"
    return [
        f"for (int32_t p = 0; p < {sizes}; p++)",
        f"    for (int32_t r = 0; r < {rows}; r++) {{",
        f"        {row}",
        f"        for (int32_t n = 0; n < {columns}; n++) {target} = {made};",
        "    }",
    ]


def code_of_sum(writer: Writer, node: Node) -> str:
    """Returns the C expression that makes a code of sums[n]."""
    out, zero = writer.tensor(node.output), node.attributes["y_zero_point"]
    if ends.form_of(node) == "signs":
        return f"({C_TYPES[str(out.dtype)]})({zero} + (sums[n] > 0 ? 1 : -1))"
    at = "n" if len(node.rescales[0].m0) > 1 else "0"
    low, high = limits(out)
    return f"({C_TYPES[str(out.dtype)]})clamp({ends.rescaled(writer, node, 'sums[n]', at)} + {zero}, {low}, {high})"


def softmax(writer: Writer, node: Node) -> list[str]:
    """Calls a Softmax along an axis, which computes sums of float32 in integers."""
    x, table = node.inputs
    shape, axis = writer.tensor(x).shape, int(str(node.attributes["axis"]))
    writer.use("softmax", kernels.SOFTMAX, X=dtype(writer, x))
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    numbers = f"{outer}, {shape[axis]}, {inner}, {node.attributes['steps']}, {node.attributes['y_zero_point']}"
    return [f"softmax_{dtype(writer, x)}({writer.names[x]}, {writer.names[table]}, {writer.names[node.output]}, {numbers});"]


def pool(kernel: str) -> Callable[[Writer, Node], list[str]]:
    """Returns the rule that calls a pool of windows."""

    def rule(writer: Writer, node: Node) -> list[str]:
        x, out, a = writer.tensor(node.inputs[0]), writer.tensor(node.output), node.attributes
        writer.use("max_pool", kernels.POOL, X=str(x.dtype))
        if kernel == "average_pool":
            writer.kernels.setdefault("quotient", kernels.QUOTIENT)
            writer.use(kernel, kernels.AVERAGE, X=str(x.dtype))
        pairs = [
            *pair(ints(node, "kernel"), 1), *pair(ints(node, "strides"), 1), *pair(ints(node, "dilations"), 1),
            *pair(ints(node, "pads"), 0),
        ]  # fmt: skip
        fields = [math.prod(x.shape[:2]), *pair(x.shape[2:], 1), *pair(out.shape[2:], 1), *pairs, a.get("x_zero_point", 0)]
        listed = ", ".join(map(str, [*fields, a.get("counts_padding", 0)]))
        call = f"{kernel}_{x.dtype}({writer.names[node.inputs[0]]}, {writer.names[node.output]}, &shape);"
        return [f"static const pool_shape shape = {{{listed}}};", call]

    return rule


def global_average(writer: Writer, node: Node) -> list[str]:
    """Computes the mean of each map by one rescaling of its sum."""
    x, out, z = writer.tensor(node.inputs[0]), writer.tensor(node.output), node.attributes
    maps, size = math.prod(x.shape[:2]), math.prod(x.shape[2:])
    low, high = limits(out)
    kind = C_TYPES[str(out.dtype)]
    return [
        f"for (int32_t i = 0; i < {maps}; i++) {{",
        f"    int32_t sum = {-int(str(z['x_zero_point'])) * size};",
        f"    for (int32_t j = 0; j < {size}; j++) sum += {writer.names[node.inputs[0]]}[i * {size} + j];",
        f"    {writer.names[node.output]}[i] = "
        f"({kind})clamp({ends.rescaled(writer, node, 'sum', '0')} + {z['y_zero_point']}, {low}, {high});",
        "}",
    ]


def reduce(start: str, step: str, end: str = "total") -> Callable[[Writer, Node], list[str]]:
    """Returns the rule that folds elements over neighbouring axes."""

    def rule(writer: Writer, node: Node) -> list[str]:
        x, out, axes = writer.tensor(node.inputs[0]), writer.tensor(node.output), ints(node, "axes")
        outer, size, inner = around(x.shape, axes, node)
        kind = "int64_t" if str(x.dtype) == "int64" else "int32_t"
        first = f"{writer.names[node.inputs[0]]}[i * {size * inner} + k]"
        value = f"{writer.names[node.inputs[0]]}[(i * {size} + j) * {inner} + k]"
        return [
            f"for (int32_t i = 0; i < {outer}; i++)",
            f"    for (int32_t k = 0; k < {inner}; k++) {{",
            f"        {kind} total = {start.format(first=first)};",
            f"        for (int32_t j = 0; j < {size}; j++) {{ const {kind} value = {value}; {step} }}",
            f"        {writer.names[node.output]}[i * {inner} + k] = ({C_TYPES[str(out.dtype)]})({end.format(size=size)});",
            "    }",
        ]

    return rule


def around(shape: tuple[int, ...], axes: list[int], node: Node) -> tuple[int, int, int]:
    """Returns the numbers of elements before, along and behind axes that are neighbours."""
    if axes != list(range(axes[0], axes[-1] + 1)):
        raise refused(node, "the axes that it reduces are no neighbours")
    return math.prod(shape[: axes[0]]), math.prod(shape[axes[0] : axes[-1] + 1]), math.prod(shape[axes[-1] + 1 :])


def arg(sign: str) -> Callable[[Writer, Node], list[str]]:
    """Returns the rule that finds the place of an extreme along an axis."""

    def rule(writer: Writer, node: Node) -> list[str]:
        x = writer.tensor(node.inputs[0])
        outer, size, inner = around(x.shape, [int(str(node.attributes["axis"]))], node)
        sign_ = f"{sign}=" if node.attributes["last"] else sign
        name = writer.names[node.inputs[0]]
        return [
            f"for (int32_t i = 0; i < {outer}; i++)",
            f"    for (int32_t k = 0; k < {inner}; k++) {{",
            "        int32_t best = 0;",
            f"        for (int32_t j = 1; j < {size}; j++)",
            f"            if ({name}[(i * {size} + j) * {inner} + k] {sign_} {name}[(i * {size} + best) * {inner} + k])",
            "                best = j;",
            f"        {writer.names[node.output]}[i * {inner} + k] = best;",
            "    }",
        ]

    return rule

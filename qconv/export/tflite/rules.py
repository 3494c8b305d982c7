"""What every operator on codes is in TFLite."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tflite

from qconv.integer.program import Step
from qconv.quant.types import INT8, QuantParams

from .translate import _LAST, _OP, Translation, integers, no_form, signed
from .writer import Array, Options, options

_SAME, _VALID = tflite.Padding.SAME, tflite.Padding.VALID
_TO_255 = QuantParams(np.asarray(1 / 256, np.float32), np.asarray(-128), INT8)  # what LiteRT's Logistic and Softmax write


def _conv(t: Translation, step: Step) -> None:
    weight, x_shape = t.array(step.reads[1].value), t.array(step.reads[0].value).shape
    if weight.ndim != 4:
        raise no_form(step, " but over two axes of a picture")
    group = step.node.attributes.get_int("group", 1)
    params = step.reads[1].params
    assert params is not None
    x = t.read(step.reads[0], last=True)
    strides, dilations = _pair(step, "strides"), _pair(step, "dilations")
    kernel = [(size - 1) * step_ + 1 for size, step_ in zip(weight.shape[2:], dilations, strict=True)]
    x, padding = _padded(t, step, x, x_shape[2:], kernel, strides, None)
    common = {"Padding": padding, "StrideH": strides[0], "StrideW": strides[1], "DilationHFactor": dilations[0],
              "DilationWFactor": dilations[1]}  # fmt: skip
    depthwise = weight.shape[1] == 1 and group == x_shape[1] and group > 1
    codes = weight.transpose(1, 2, 3, 0) if depthwise else weight.transpose(0, 2, 3, 1)
    filters = t.writer.constant(f"{step.name}/weight", codes.astype(np.int8), _per_channel(params, 3 if depthwise else 0))
    inputs = [x, filters, _bias(t, step, weight.shape[0], params)]
    output = t.result(step, last=True)
    if depthwise:
        found = options("DepthwiseConv2DOptions", DepthMultiplier=weight.shape[0] // group, **common)
        t.writer.operator(_OP.DEPTHWISE_CONV_2D, 3, inputs, output, found)
    else:
        t.writer.operator(_OP.CONV_2D, 6 if group > 1 else 3, inputs, output, options("Conv2DOptions", **common))


def _per_channel(params: QuantParams, axis: int) -> QuantParams:
    return params if params.axis is None else QuantParams(params.scale, params.zero_point, params.int_type, axis)


def _bias(t: Translation, step: Step, channels: int, weight: QuantParams) -> int:
    """The bias, or zeros, with the scale S_x S_w."""
    source = step.reads[0].params
    assert source is not None
    codes = np.zeros(channels, np.int32) if step.bias is None else t.array(step.bias).reshape(-1).astype(np.int32)
    scale = np.float32(source.scale) * weight.scale
    params = QuantParams(scale, np.zeros(scale.shape, np.int8), INT8, None if weight.axis is None else 0)
    return t.writer.constant(f"{step.name}/bias", codes, params)


def _pair(step: Step, name: str) -> list[int]:
    found = step.node.attributes.get(name)
    return [1, 1] if found is None else list(found.as_ints())


def _padded(
    t: Translation, step: Step, x: int, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], fill: int | None
) -> tuple[int, int]:
    """The tensor and its padding: by the operator where TFLite's SAME is the same, else by a Pad before it."""
    found = step.node.attributes.get("pads")
    pads = [0, 0, 0, 0] if found is None else list(found.as_ints())
    if not any(pads):
        return x, _VALID
    wanted = []
    for size, extent, stride in zip(sizes, kernel, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + extent - size, 0)
        wanted.append((total // 2, total - total // 2))
    if [wanted[0][0], wanted[1][0], wanted[0][1], wanted[1][1]] == pads:
        return x, _SAME
    params = t.params[step.reads[0].value]
    code = int(params.zero_point) if fill is None else fill
    return _pad_by(t, x, [(0, 0), (pads[0], pads[2]), (pads[1], pads[3]), (0, 0)], code, params, step.name), _VALID


def _pad_by(t: Translation, x: int, widths: Sequence[tuple[int, int]], code: int, params: QuantParams, name: str) -> int:
    shape = tuple(size + sum(width) for size, width in zip(t.writer.shape(x), widths, strict=True))
    output = t.writer.tensor(f"{name}/padded", shape, params)
    return _pad_into(t, x, widths, code, params, name, output)


def _pad_into(
    t: Translation, x: int, widths: Sequence[tuple[int, int]], code: int, params: QuantParams, name: str, output: int
) -> int:
    table = t.writer.constant(f"{name}/pads", np.asarray(widths, np.int32))
    if code == int(params.zero_point):
        return t.writer.operator(_OP.PAD, 2, [x, table], output, options("PadOptions"))
    value = t.writer.constant(f"{name}/value", np.asarray([code], np.int8), params)
    return t.writer.operator(_OP.PADV2, 2, [x, table, value], output, options("PadV2Options"))


def _dense(t: Translation, step: Step) -> None:
    """A product with a constant matrix: one scale is a fully connected layer, one for each channel a convolution of one place."""
    if step.reads[1].value in t.numbers:
        raise no_form(step, " with two computed operands")
    weight, params = t.array(step.reads[1].value), step.reads[1].params
    assert params is not None
    rows = weight if step.node.attributes.get_int("transB", 0) else weight.T  # [O, K]
    if rows.ndim != 2:
        raise no_form(step, " with a weight of more than two axes")
    x = t.read(step.reads[0], last=False)
    shape, out_shape = t.writer.shape(x), t.array(step.node.outputs[0]).shape
    bias = _bias(t, step, len(rows), params)
    if params.scale.ndim == 0:
        filters = t.writer.constant(f"{step.name}/weight", np.ascontiguousarray(rows).astype(np.int8), params)
        found = options("FullyConnectedOptions", KeepNumDims=len(shape) > 2)
        t.writer.operator(_OP.FULLY_CONNECTED, 5, [x, filters, bias], t.result(step, last=False), found)
        return
    count = int(np.prod(shape[:-1]))
    column = t.reshape(x, (count, 1, 1, shape[-1]), f"{step.name}/column", t.params[step.reads[0].value])
    codes = np.ascontiguousarray(rows).astype(np.int8).reshape(len(rows), 1, 1, -1)
    filters = t.writer.constant(f"{step.name}/weight", codes, _per_channel(params, 0))
    output = t.own(step)
    assert output is not None
    product = t.writer.tensor(f"{step.name}/product", (count, 1, 1, len(rows)), signed(output))
    geometry = options("Conv2DOptions", Padding=_VALID, StrideH=1, StrideW=1, DilationHFactor=1, DilationWFactor=1)
    t.writer.operator(_OP.CONV_2D, 3, [column, filters, bias], product, geometry)
    name = str(step.node.outputs[0].name)
    t.keep(step.node.outputs[0], t.reshape(product, out_shape, name, signed(output)), signed(output), last=False)


def _binary(code: int, kind: str) -> Callable[[Translation, Step], None]:
    def rule(t: Translation, step: Step) -> None:
        last = any(read.value in t.last for read in step.reads)
        inputs = [_operand(t, step, index, last=last) for index in (0, 1)]
        t.writer.operator(code, 2, inputs, t.result(step, last=last), options(kind))

    return rule


def _operand(t: Translation, step: Step, index: int, *, last: bool) -> int:
    """An operand that may be a constant."""
    operand = step.reads[index]
    if operand.value in t.numbers:
        return t.read(operand, last=last)
    array, params = t.array(operand.value), operand.params
    if params is None:
        raise no_form(step, " with a constant without a scale")
    codes = _as_signed(array)
    if last and codes.ndim == 4:
        codes = codes.transpose(_LAST)
    elif last and codes.ndim == 3:
        codes = codes.transpose(1, 2, 0)
    return t.writer.constant(str(operand.name), codes, signed(params))


def _as_signed(codes: Array) -> Array:
    return codes if codes.dtype == np.int8 else (codes.astype(np.int16) - 128).astype(np.int8)


def _average_all(t: Translation, step: Step) -> None:
    axes = t.writer.constant(f"{step.name}/axes", np.asarray([1, 2], np.int32))
    t.writer.operator(
        _OP.MEAN, 2, [t.read(step.reads[0], last=True), axes], t.result(step, last=True), options("ReducerOptions", KeepDims=True)
    )


def _pool(code: int) -> Callable[[Translation, Step], None]:
    def rule(t: Translation, step: Step) -> None:
        x_shape = t.array(step.reads[0].value).shape
        attributes = step.node.attributes
        kernel, strides = _pair(step, "kernel_shape"), _pair(step, "strides")
        if len(x_shape) != 4 or _pair(step, "dilations") != [1, 1] or attributes.get_int("ceil_mode", 0) != 0:
            raise no_form(step, " with these windows")
        maximum = code == _OP.MAX_POOL_2D
        x, padding = _padded(t, step, t.read(step.reads[0], last=True), x_shape[2:], kernel, strides, -128 if maximum else None)
        explicit = padding == _VALID and attributes.get("pads") is not None and any(attributes["pads"].as_ints())
        if not maximum and (explicit != (attributes.get_int("count_include_pad", 0) == 1)) and any(_pads(step)):
            raise no_form(step, " with this padding")
        found = options(
            "Pool2DOptions",
            Padding=padding,
            StrideH=strides[0],
            StrideW=strides[1],
            FilterHeight=kernel[0],
            FilterWidth=kernel[1],
        )
        output = t.result(step, last=True, params=t.params[step.reads[0].value] if maximum else None)
        t.writer.operator(code, 2, [x], output, found)

    return rule


def _pads(step: Step) -> list[int]:
    found = step.node.attributes.get("pads")
    return [] if found is None else list(found.as_ints())


def _squashed(code: int, found: Options | None, *, axis: bool) -> Callable[[Translation, Step], None]:
    """Logistic or Softmax, whose scale is 1/256 in TFLite; another one is reached by rescaling."""

    def rule(t: Translation, step: Step) -> None:
        value = step.reads[0].value
        rank = len(t.array(value).shape)
        last = value in t.last
        if axis:
            along = step.node.attributes.get_int("axis", -1) % rank
            last = last if rank != 4 else along == 1
            if along != (1 if last else rank - 1):
                raise no_form(step, " along this axis")
        wanted = t.own(step)
        assert wanted is not None
        if signed(wanted) == _TO_255:
            t.writer.operator(code, 2, [t.read(value, last=last)], t.result(step, last=last), found)
            return
        raw = t.result(step, last=last, params=_TO_255, name="raw")
        t.writer.operator(code, 2, [t.read(value, last=last)], raw, found)
        t.quantize(raw, t.result(step, last=last))

    return rule


def _leaky(t: Translation, step: Step) -> None:
    last = step.reads[0].value in t.last
    alpha = step.node.attributes.get_float("alpha", 0.01)
    t.writer.operator(
        _OP.LEAKY_RELU, 2, [t.read(step.reads[0], last=last)], t.result(step, last=last), options("LeakyReluOptions", Alpha=alpha)
    )


def _clip(t: Translation, step: Step) -> None:
    """The codes between two others."""
    value = step.node.inputs[0]
    assert value is not None
    last, x = value in t.last, t.read(value, last=value in t.last)
    params = t.params[value]
    shift = 0 if t.array(value).dtype == np.int8 else 128
    ends = [None if v is None else int(t.array(v).reshape(())) - shift for v in (*step.node.inputs[1:3], None, None)[:2]]
    todo = [(code, kind, end) for code, kind, end, idle in (
        (_OP.MAXIMUM, "low", ends[0], -128), (_OP.MINIMUM, "high", ends[1], 127)) if end is not None and end != idle]  # fmt: skip
    for place, (code, kind, end) in enumerate(todo):
        bound = t.writer.constant(f"{step.name}/{kind}", np.asarray([end], np.int8), params)
        final = place == len(todo) - 1
        output = t.result(step, last=last, params=params, name="" if final else kind)
        x = t.writer.operator(code, 2, [x, bound], output, options("MaximumMinimumOptions"))
    if not todo:
        t.keep(step.node.outputs[0], x, params, last=last)


def _concat(t: Translation, step: Step) -> None:
    """Parts under one scale, rescaled before where they have others."""
    output = step.node.outputs[0]
    rank = len(t.array(output).shape)
    last = any(read.value in t.last for read in step.reads)
    axis = step.node.attributes.get_int("axis", 0) % rank
    found = t.own(step)
    wanted = t.params[step.reads[0].value] if found is None else signed(found)
    parts = []
    for index, read in enumerate(step.reads):
        part = _operand(t, step, index, last=last)
        own = wanted if read.params is None or step.op == "Concat" else signed(read.params)
        if own != wanted and read.value in t.params:
            part = t.quantize(part, t.writer.tensor(f"{step.name}/part{index}", t.writer.shape(part), wanted))
        parts.append(part)
    if len(parts) == 1:  # QLinearConcat of one tensor rescales it
        t.keep(output, parts[0], wanted, last=last)
        return
    result = t.result(step, last=last, params=wanted)
    place = _LAST.index(axis) if last and rank == 4 else axis
    t.writer.operator(_OP.CONCATENATION, 2, parts, result, options("ConcatenationOptions", Axis=place))


def _reshape(t: Translation, step: Step) -> None:
    value, output = step.node.inputs[0], step.node.outputs[0]
    assert value is not None
    if value not in t.numbers:
        return
    x = t.read(value, last=False)
    t.keep(output, t.reshape(x, t.array(output).shape, str(output.name), t.params[value]), t.params[value], last=False)


def _transpose(t: Translation, step: Step) -> None:
    value, output = step.node.inputs[0], step.node.outputs[0]
    assert value is not None
    order = integers(step.node.attributes["perm"].as_ints())
    if value in t.last and order == list(_LAST):
        t.keep(output, t.numbers[value], t.params[value], last=False)
        return
    if value not in t.last and order == list(_FIRST_AXES) and len(t.writer.shape(t.numbers[value])) == 4:
        t.keep(output, t.numbers[value], t.params[value], last=True)
        return
    axes = t.writer.constant(f"{step.name}/axes", np.asarray(order, np.int32))
    result = t.result(step, last=False, params=t.params[value])
    t.writer.operator(_OP.TRANSPOSE, 2, [t.read(value, last=False), axes], result, options("TransposeOptions"))


_FIRST_AXES = (0, 3, 1, 2)


def _pad(t: Translation, step: Step) -> None:
    node, value = step.node, step.node.inputs[0]
    assert value is not None
    if node.attributes.get_string("mode", "constant") != "constant" or value not in t.numbers:
        raise no_form(step, " in this mode")
    rank = len(t.array(value).shape)
    pads = integers(t.array(node.inputs[1]))
    axes = integers(t.array(node.inputs[3])) if len(node.inputs) > 3 and node.inputs[3] is not None else list(range(rank))
    widths = [(0, 0)] * rank
    for place, axis in enumerate(axes):
        widths[axis % rank] = pads[place], pads[place + len(axes)]
    if min(min(width) for width in widths) < 0:
        raise no_form(step, " that cuts off")
    last, params = value in t.last, t.params[value]
    widths = [widths[axis] for axis in _LAST] if last else widths
    given = t.array(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else np.zeros((), t.array(value).dtype)
    code = int(_as_signed(given).reshape(-1)[0])
    output = t.result(step, last=last, params=params)
    _pad_into(t, t.read(value, last=last), widths, code, params, step.name, output)


def _slice(t: Translation, step: Step) -> None:
    node, value = step.node, step.node.inputs[0]
    assert value is not None
    if value not in t.numbers:
        return
    shape = t.array(value).shape
    starts, ends = integers(t.array(node.inputs[1])), integers(t.array(node.inputs[2]))
    axes = integers(t.array(node.inputs[3])) if len(node.inputs) > 3 and node.inputs[3] is not None else list(range(len(starts)))
    steps = integers(t.array(node.inputs[4])) if len(node.inputs) > 4 and node.inputs[4] is not None else [1] * len(starts)
    ranges = [slice(0, size, 1).indices(size) for size in shape]
    for start, end, axis, step_ in zip(starts, ends, axes, steps, strict=True):
        ranges[axis] = slice(start, end if step_ > 0 or end >= 0 else None, step_).indices(shape[axis])
    if min(step_ for _, _, step_ in ranges) < 1:
        raise no_form(step, " backwards")
    last = value in t.last
    ranges = [ranges[axis] for axis in _LAST] if last else ranges
    tables = [t.writer.constant(f"{step.name}/{name}", np.asarray(column, np.int32))
              for name, column in zip(("begin", "end", "strides"), zip(*ranges, strict=True), strict=True)]  # fmt: skip
    output = t.result(step, last=last, params=t.params[value])
    t.writer.operator(_OP.STRIDED_SLICE, 2, [t.read(value, last=last), *tables], output, options("StridedSliceOptions"))


RULES: dict[str, Callable[[Translation, Step], None]] = {
    "QLinearConv": _conv,
    "QGemm": _dense,
    "QLinearMatMul": _dense,
    "QLinearAdd": _binary(_OP.ADD, "AddOptions"),
    "QLinearMul": _binary(_OP.MUL, "MulOptions"),
    "QLinearGlobalAveragePool": _average_all,
    "QLinearAveragePool": _pool(_OP.AVERAGE_POOL_2D),
    "MaxPool": _pool(_OP.MAX_POOL_2D),
    "QLinearSoftmax": _squashed(_OP.SOFTMAX, options("SoftmaxOptions", Beta=1.0), axis=True),
    "QLinearSigmoid": _squashed(_OP.LOGISTIC, None, axis=False),
    "QLinearLeakyRelu": _leaky,
    "QLinearConcat": _concat,
    "Concat": _concat,
    "Clip": _clip,
    "Reshape": _reshape,
    "Flatten": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Transpose": _transpose,
    "Pad": _pad,
    "Slice": _slice,
}

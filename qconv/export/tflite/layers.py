"""Layers and pools in TFLite, with the padding that they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tflite

from qconv.integer.step import Step
from qconv.quant.types import INT8, QuantParams

from .translate import OP, Translation, no_form, signed
from .writer import options

_SAME, _VALID = tflite.Padding.SAME, tflite.Padding.VALID


def conv(t: Translation, step: Step) -> None:
    """Writes a convolution over one or two axes, depthwise or not; a row is a picture of one line."""
    if step.geometry.integer("channels_last", 0):
        dense(t, step)
        return
    weight, x_shape = t.array(step.operand(1).value), t.array(step.operand(0).value).shape
    if weight.ndim > 4:
        raise no_form(step, " over three axes")
    line = weight.ndim == 3
    if line:
        weight, x_shape = weight[:, :, None], (*x_shape[:2], 1, *x_shape[2:])
    group = step.geometry.integer("group", 1)
    params = step.operand(1).params
    assert params is not None
    x = _as_picture(t, step) if line else t.read(step.operand(0), last=True)
    strides, dilations = _pair(step, "strides"), _pair(step, "dilations")
    kernel = [(size - 1) * step_ + 1 for size, step_ in zip(weight.shape[2:], dilations, strict=True)]
    x, padding = _padded(t, step, x, x_shape[2:], kernel, strides, None)
    common = {"Padding": padding, "StrideH": strides[0], "StrideW": strides[1], "DilationHFactor": dilations[0],
              "DilationWFactor": dilations[1]}  # fmt: skip
    depthwise = weight.shape[1] == 1 and group == x_shape[1] and group > 1
    codes = weight.transpose(1, 2, 3, 0) if depthwise else weight.transpose(0, 2, 3, 1)
    filters = t.writer.constant(f"{step.name}/weight", codes.astype(np.int8), _per_channel(params, 3 if depthwise else 0))
    inputs = [x, filters, _bias(t, step, weight.shape[0], params)]
    output = _row_as_picture(t, step) if line else t.result(step, last=True)
    if depthwise:
        found = options("DepthwiseConv2DOptions", DepthMultiplier=weight.shape[0] // group, **common)
        t.writer.operator(OP.DEPTHWISE_CONV_2D, 3, inputs, output, found)
    else:
        t.writer.operator(OP.CONV_2D, 6 if group > 1 else 3, inputs, output, options("Conv2DOptions", **common))
    if line:
        _as_row(t, step, output)


def _as_picture(t: Translation, step: Step) -> int:
    """Turns a row [N, C, W] into a picture of one line, [N, 1, W, C]."""
    x = t.read(step.operand(0), last=False)
    n, c, w = t.writer.shape(x)
    turned = t.writer.alike(x, f"{step.name}/turned", (n, w, c))
    axes = t.writer.constant(f"{step.name}/axes", np.asarray([0, 2, 1], np.int32))
    t.writer.operator(OP.TRANSPOSE, 2, [x, axes], turned, options("TransposeOptions"))
    return t.reshape(turned, t.writer.alike(x, f"{step.name}/picture", (n, 1, w, c)))


def _row_as_picture(t: Translation, step: Step) -> int:
    n, c, w = t.array(step.writes[0].value).shape
    own = t.own(step)
    assert own is not None
    return t.writer.tensor(f"{step.name}/line", (n, 1, w, c), signed(own))


def _as_row(t: Translation, step: Step, line: int) -> None:
    """Turns a picture of one line [N, 1, W, C] back into a row [N, C, W]."""
    n, _, w, c = t.writer.shape(line)
    flat = t.reshape(line, t.writer.alike(line, f"{step.name}/flat", (n, w, c)))
    axes = t.writer.constant(f"{step.name}/back", np.asarray([0, 2, 1], np.int32))
    t.writer.operator(OP.TRANSPOSE, 2, [flat, axes], t.result(step, last=False), options("TransposeOptions"))


def _per_channel(params: QuantParams, axis: int) -> QuantParams:
    return params if params.axis is None else QuantParams(params.scale, params.zero_point, params.int_type, axis)


def _bias(t: Translation, step: Step, channels: int, weight: QuantParams) -> int:
    """Writes the bias, or zeros, with the scale S_x S_w."""
    source = step.operand(0).params
    assert source is not None
    codes = np.zeros(channels, np.int32) if step.bias is None else t.array(step.bias.value).reshape(-1).astype(np.int32)
    scale = np.float32(source.scale) * weight.scale
    params = QuantParams(scale, np.zeros(scale.shape, np.int8), INT8, None if weight.axis is None else 0)
    return t.writer.constant(f"{step.name}/bias", codes, params)


def _pair(step: Step, name: str) -> list[int]:
    """Returns an attribute of two axes; a row has one line."""
    return [1, 1, *step.geometry.integers(name, [])][-2:]


def _padded(
    t: Translation, step: Step, x: int, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], fill: int | None
) -> tuple[int, int]:
    """Returns the tensor and its padding: SAME where TFLite's is the same, else VALID behind a Pad."""
    pads = _pads(step) or [0, 0, 0, 0]
    if not any(pads):
        return x, _VALID
    wanted = []
    for size, extent, stride in zip(sizes, kernel, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + extent - size, 0)
        wanted.append((total // 2, total - total // 2))
    if [wanted[0][0], wanted[1][0], wanted[0][1], wanted[1][1]] == pads:
        return x, _SAME
    params = t.codes(step.operand(0).value)
    code = int(params.zero_point) if fill is None else fill
    return _pad_by(t, x, [(0, 0), (pads[0], pads[2]), (pads[1], pads[3]), (0, 0)], code, params, step.name), _VALID


def _pad_by(t: Translation, x: int, widths: Sequence[tuple[int, int]], code: int, params: QuantParams, name: str) -> int:
    shape = tuple(size + sum(width) for size, width in zip(t.writer.shape(x), widths, strict=True))
    output = t.writer.tensor(f"{name}/padded", shape, params)
    return pad_into(t, x, widths, code, params, name, output)


def pad_into(
    t: Translation, x: int, widths: Sequence[tuple[int, int]], code: int, params: QuantParams, name: str, output: int
) -> int:
    """Pads a tensor with a code into `output`; `widths` are in the order of the tensor's axes."""
    table = t.writer.constant(f"{name}/pads", np.asarray(widths, np.int32))
    if code == int(params.zero_point):
        return t.writer.operator(OP.PAD, 2, [x, table], output, options("PadOptions"))
    value = t.writer.constant(f"{name}/value", np.asarray([code], np.int8), params)
    return t.writer.operator(OP.PADV2, 2, [x, table, value], output, options("PadV2Options"))


def dense(t: Translation, step: Step) -> None:
    """A product with a constant matrix: one scale is a fully connected layer, one for each channel a convolution of one place."""
    if step.operand(1).value in t.numbers:
        products(t, step)
        return
    weight, params = t.array(step.operand(1).value), step.operand(1).params
    assert params is not None
    if step.op == "QLinearConv":
        rows = weight.reshape(len(weight), -1)  # of one place, with its channels last
    else:
        rows = weight if step.geometry.integer("transB", 0) else weight.T  # [O, K]
    if rows.ndim != 2:
        raise no_form(step, " with a weight of more than two axes")
    x = t.read(step.operand(0), last=False)
    shape = t.writer.shape(x)
    bias = _bias(t, step, len(rows), params)
    if params.scale.ndim == 0:
        filters = t.writer.constant(f"{step.name}/weight", np.ascontiguousarray(rows).astype(np.int8), params)
        found = options("FullyConnectedOptions", KeepNumDims=len(shape) > 2)
        t.writer.operator(OP.FULLY_CONNECTED, 5, [x, filters, bias], t.result(step, last=False), found)
        return
    count = int(np.prod(shape[:-1]))
    column = t.reshape(x, t.writer.alike(x, f"{step.name}/column", (count, 1, 1, shape[-1])))
    codes = np.ascontiguousarray(rows).astype(np.int8).reshape(len(rows), 1, 1, -1)
    filters = t.writer.constant(f"{step.name}/weight", codes, _per_channel(params, 0))
    output = t.own(step)
    assert output is not None
    product = t.writer.tensor(f"{step.name}/product", (count, 1, 1, len(rows)), signed(output))
    geometry = options("Conv2DOptions", Padding=_VALID, StrideH=1, StrideW=1, DilationHFactor=1, DilationWFactor=1)
    t.writer.operator(OP.CONV_2D, 3, [column, filters, bias], product, geometry)
    t.reshape(product, t.result(step, last=False))


def products(t: Translation, step: Step) -> None:
    """Writes products of two activations, matrix by matrix."""
    if step.bias is not None or step.op == "QGemm":
        raise no_form(step, " with two computed operands and a bias")
    a, b = (t.operand(step, index, last=False) for index in (0, 1))
    if min(len(t.writer.shape(number)) for number in (a, b)) < 2:
        raise no_form(step, " of vectors")
    t.writer.operator(OP.BATCH_MATMUL, 3, [a, b], t.result(step, last=False), options("BatchMatMulOptions"))


def average_all(t: Translation, step: Step) -> None:
    """Writes the mean of each map."""
    axes = t.writer.constant(f"{step.name}/axes", np.asarray([1, 2], np.int32))
    t.writer.operator(
        OP.MEAN,
        2,
        [t.read(step.operand(0), last=True), axes],
        t.result(step, last=True),
        options("ReducerOptions", KeepDims=True),
    )


def pool(code: int) -> Callable[[Translation, Step], None]:
    """Returns the rule for the greatest or the mean of windows, by the number of the operator in TFLite."""

    def rule(t: Translation, step: Step) -> None:
        x_shape = t.array(step.operand(0).value).shape
        kernel, strides = _pair(step, "kernel_shape"), _pair(step, "strides")
        if len(x_shape) != 4 or _pair(step, "dilations") != [1, 1] or step.geometry.integer("ceil_mode", 0) != 0:
            raise no_form(step, " with these windows")
        maximum = code == OP.MAX_POOL_2D
        x, padding = _padded(t, step, t.read(step.operand(0), last=True), x_shape[2:], kernel, strides, -128 if maximum else None)
        explicit = padding == _VALID and any(_pads(step))
        if not maximum and (explicit != (step.geometry.integer("count_include_pad", 0) == 1)) and any(_pads(step)):
            raise no_form(step, " with this padding")
        found = options(
            "Pool2DOptions",
            Padding=padding,
            StrideH=strides[0],
            StrideW=strides[1],
            FilterHeight=kernel[0],
            FilterWidth=kernel[1],
        )
        output = t.result(step, last=True, params=t.codes(step.operand(0).value) if maximum else None)
        t.writer.operator(code, 2, [x], output, found)

    return rule


def _pads(step: Step) -> list[int]:
    pads = list(step.geometry.integers("pads", []))
    return [0, pads[0], 0, pads[1]] if len(pads) == 2 else pads

"""What every operator on codes is in TFLite."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qconv.integer.program import Step
from qconv.quant.types import INT8, QuantParams

from .layers import average_all, conv, dense, pad_into, pool
from .translate import _FIRST, _LAST, _OP, Translation, integers, no_form, signed
from .writer import Array, Options, options

_FIXED_RANGE = QuantParams(np.asarray(1 / 256, np.float32), np.asarray(-128), INT8)  # what LiteRT's Logistic and Softmax write


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
        if signed(wanted) == _FIXED_RANGE:
            t.writer.operator(code, 2, [t.read(value, last=last)], t.result(step, last=last), found)
            return
        raw = t.result(step, last=last, params=_FIXED_RANGE, name="raw")
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
    if value not in t.last and order == list(_FIRST) and len(t.writer.shape(t.numbers[value])) == 4:
        t.keep(output, t.numbers[value], t.params[value], last=True)
        return
    axes = t.writer.constant(f"{step.name}/axes", np.asarray(order, np.int32))
    result = t.result(step, last=False, params=t.params[value])
    t.writer.operator(_OP.TRANSPOSE, 2, [t.read(value, last=False), axes], result, options("TransposeOptions"))


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
    pad_into(t, t.read(value, last=last), widths, code, params, step.name, output)


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
    "QLinearConv": conv,
    "QGemm": dense,
    "QLinearMatMul": dense,
    "QLinearAdd": _binary(_OP.ADD, "AddOptions"),
    "QLinearMul": _binary(_OP.MUL, "MulOptions"),
    "QLinearGlobalAveragePool": average_all,
    "QLinearAveragePool": pool(_OP.AVERAGE_POOL_2D),
    "MaxPool": pool(_OP.MAX_POOL_2D),
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

"""What every operator on codes is in TFLite."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qconv.integer.execution.kernels.tables import sigmoid_table
from qconv.integer.step import Step
from qconv.quant.types import INT8, QuantParams

from .integers import RULES as ON_INTEGERS
from .layers import average_all, conv, dense, pool
from .moves import concat, depth_to_space, move, pad, reshape, slices, take, transpose
from .tables import lookup
from .translate import OP, Translation, as_signed, no_form, signed
from .writer import options

_DROPPED = np.exp(-10.0)  # what LiteRT's Softmax of 16 bits takes for nothing, as a part of the largest
_FINE_SHARES = QuantParams(np.asarray(2**-15, np.float32), np.asarray(0), INT8)  # in int16
_FIXED_RANGE = QuantParams(np.asarray(1 / 256, np.float32), np.asarray(-128), INT8)  # what LiteRT's LOGISTIC and SOFTMAX write


def _binary(code: int, kind: str) -> Callable[[Translation, Step], None]:
    def rule(t: Translation, step: Step) -> None:
        last = any(read.value in t.last for read in step.reads)
        inputs = [t.operand(step, index, last=last) for index in (0, 1)]
        t.writer.operator(code, 2, inputs, t.result(step, last=last), options(kind))

    return rule


def _softmax(t: Translation, step: Step) -> None:
    """Softmax, whose scale is 1/256 in TFLite: another one is reached from 16 bits, or from 1/256 by rescaling."""
    operand = step.operand(0)
    value = operand.value
    rank, last = t.array(value).ndim, value in t.last
    along = step.geometry.integer("axis", -1) % rank
    last = last if rank != 4 else along == 1
    if along != (1 if last else rank - 1):
        raise no_form(step, " along this axis")
    wanted, found = t.own(step), options("SoftmaxOptions", Beta=1.0)
    assert wanted is not None and operand.params is not None
    source, output = t.read(operand, last=last), t.result(step, last=last)
    if signed(wanted) == _FIXED_RANGE:
        t.writer.operator(OP.SOFTMAX, 2, [source], output, found)
    elif t.array(value).shape[along] * _DROPPED > float(wanted.scale):  # more than a code
        raw = t.writer.tensor(f"{step.name}/raw", t.writer.shape(source), _FIXED_RANGE)
        t.scaled(t.writer.operator(OP.SOFTMAX, 2, [source], raw, found), output, step.name)
    else:
        shape, centred = t.writer.shape(source), QuantParams(operand.params.scale, np.asarray(0), INT8)
        wide = t.writer.tensor(f"{step.name}/wide", shape, centred, "int16")
        shares = t.writer.tensor(f"{step.name}/shares", shape, _FINE_SHARES, "int16")
        t.writer.operator(OP.QUANTIZE, 2, [source], wide, options("QuantizeOptions"))
        t.writer.operator(OP.SOFTMAX, 3, [wide], shares, found)
        t.writer.operator(OP.QUANTIZE, 3, [shares], output, options("QuantizeOptions"))


def _sigmoid(t: Translation, step: Step) -> None:
    """LOGISTIC, whose scale is 1/256 in TFLite, or a table."""
    operand, wanted = step.operand(0), t.own(step)
    assert wanted is not None and operand.params is not None
    if signed(wanted) == _FIXED_RANGE:
        last = operand.value in t.last
        t.writer.operator(OP.LOGISTIC, 2, [t.read(operand, last=last)], t.result(step, last=last))
        return
    lookup(t, operand.value, sigmoid_table(operand.params, wanted), step.writes[0].value)


def _leaky(t: Translation, step: Step) -> None:
    """The greater of two products: one with 1, one with the slope below zero, where it is less than 1."""
    last = step.operand(0).value in t.last
    alpha = step.geometry.real("alpha", 0.01)
    x, output = t.read(step.operand(0), last=last), t.result(step, last=last)
    parts = [t.scaled(x, t.writer.alike(output, f"{step.name}/{factor}", t.writer.shape(output)), f"{step.name}/{factor}", factor)
             for factor in (1.0, alpha)]  # fmt: skip
    t.writer.operator(OP.MAXIMUM if alpha < 1 else OP.MINIMUM, 2, parts, output, options("MaximumMinimumOptions"))


def _clip(t: Translation, step: Step) -> None:
    """The numbers between two others."""
    value = step.operand(0).value
    array, last, x, params = t.array(value), value in t.last, t.read(value, last=value in t.last), t.params[value]
    limits = np.iinfo(array.dtype)
    ends = [idle if end is None else int(t.array(end.value).reshape(())) for end, idle in zip(
        (*step.operands[1:3], None, None), (limits.min, limits.max), strict=False)]  # fmt: skip
    todo = [(code, kind, end) for code, kind, end, idle in (
        (OP.MAXIMUM, "low", ends[0], limits.min), (OP.MINIMUM, "high", ends[1], limits.max)) if end != idle]  # fmt: skip
    for place, (code, kind, end) in enumerate(todo):
        bound = t.writer.constant(f"{step.name}/{kind}", as_signed(np.asarray([end], array.dtype)), params)
        final = place == len(todo) - 1
        output = t.result(step, last=last, params=params, name="" if final else kind)
        x = t.writer.operator(code, 2, [x, bound], output, options("MaximumMinimumOptions"))
    if not todo:
        t.keep(step.writes[0].value, x, params, last=last)


RULES: dict[str, Callable[[Translation, Step], None]] = {
    "QLinearConv": conv,
    "QGemm": dense,
    "QLinearMatMul": dense,
    "QLinearAdd": _binary(OP.ADD, "AddOptions"),
    "QLinearMul": _binary(OP.MUL, "MulOptions"),
    "QLinearGlobalAveragePool": average_all,
    "QLinearAveragePool": pool(OP.AVERAGE_POOL_2D),
    "MaxPool": pool(OP.MAX_POOL_2D),
    "QLinearSoftmax": _softmax,
    "QLinearSigmoid": _sigmoid,
    "QLinearLeakyRelu": _leaky,
    "QLinearConcat": concat,
    "Concat": concat,
    "Clip": _clip,
    "Transpose": transpose,
    "Pad": pad,
    "Slice": slices,
    "Resize": move,
    "Gather": take,
    "GatherElements": take,
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"), reshape),
    "DepthToSpace": depth_to_space,
    **dict.fromkeys(("SpaceToDepth", "Split", "Tile", "Expand", "GatherND", "ReverseSequence"), move),
    **ON_INTEGERS,
}

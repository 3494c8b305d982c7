"""Arithmetic on numbers without a scale in TFLite: int32 and bool, as norms and comparisons are made of, and codes as numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qconv.integer.step import Step
from qconv.quant.reciprocal_root import sums_blocks

from .translate import OP, Translation, no_form
from .writer import TYPES, Options, options

OFFSET = 128  # between a code of uint8 and the code of int8 that stands for it


def _elementwise(code: int, found: Options | None = None) -> Callable[[Translation, Step], None]:
    """Returns the rule for an operator of two operands, which comes again for each further one."""

    def rule(t: Translation, step: Step) -> None:
        last = any(read.value in t.last for read in step.reads)
        numbers = [t.operand(step, index, last=last) for index in range(len(step.reads))]
        if len({t.writer.kind(number) for number in numbers}) > 1:
            raise no_form(step, " of numbers of two types")
        params = next((t.params[read.value] for read in step.reads if read.value in t.numbers), None)
        kept = None if t.array(step.writes[0].value).dtype == bool else params
        while len(numbers) > 2:
            shape = np.broadcast_shapes(*(t.writer.shape(number) for number in numbers[:2]))
            part = t.writer.alike(numbers[0], f"{step.name}/{len(numbers)}", shape)
            numbers = [t.writer.operator(code, 1, numbers[:2], part, found), *numbers[2:]]
        t.writer.operator(code, 1, numbers, t.result(step, last=last, params=kept), found)

    return rule


def _where(t: Translation, step: Step) -> None:
    last = any(read.value in t.last for read in step.reads)
    numbers = [t.operand(step, index, last=last) for index in range(3)]
    params = next((t.params[read.value] for read in step.reads[1:] if read.value in t.numbers), None)
    t.writer.operator(OP.SELECT_V2, 1, numbers, t.result(step, last=last, params=params), options("SelectV2Options"))


def _xor(t: Translation, step: Step) -> None:
    """All bits of each code turned: 255 - q of uint8, and so -1 - q of int8."""
    value, mask = step.operand(0).value, t.array(step.operand(1).value).reshape(-1)
    if not (mask.view(np.uint8) == 255).all():
        raise no_form(step, " of other bits than all")
    last, params = value in t.last, step.writes[0].params or t.params[value]
    ones = t.writer.constant(f"{step.name}/ones", np.asarray([-1], np.int8), params)
    output = t.result(step, last=last, params=params)
    t.writer.operator(OP.BITWISE_XOR, 1, [t.read(value, last=last), ones], output, options("BitwiseXorOptions"))


def _cast(t: Translation, step: Step) -> None:
    """Another type; codes of uint8 have the offset of the int8 that stands for them."""
    value, output = step.operand(0).value, step.writes[0].value
    source, target, last = t.array(value).dtype, t.array(output).dtype, value in t.last
    x = t.read(value, last=last)
    if target.kind == "f" or (source.itemsize == target.itemsize == 1 and source != target):
        raise no_form(step, f" from {source} to {target}")
    if source == target:
        t.keep(output, x, t.params[value], last=last)
        return
    if target == np.uint8:
        x = shifted(t, x, OP.SUB, "SubOptions", f"{step.name}/signed")
    params = step.writes[0].params if target.kind in "iu" and target.itemsize <= 2 else None
    made = t.result(step, last=last, params=params, name="unsigned" if source == np.uint8 else "")
    t.writer.operator(OP.CAST, 1, [x], made, options("CastOptions"))
    if source == np.uint8:
        made = shifted(t, made, OP.ADD, "AddOptions", str(output.name))
        t.keep(output, made, None, last=last)


def shifted(t: Translation, x: int, code: int, kind: str, name: str) -> int:
    """Numbers with the offset added or taken away."""
    offset = t.writer.constant(f"{name}/offset", np.asarray([OFFSET], np.dtype(t.writer.kind(x))))
    return t.writer.operator(code, 1, [x, offset], t.writer.alike(x, name, t.writer.shape(x)), options(kind))


def _reduce(code: int) -> Callable[[Translation, Step], None]:
    def rule(t: Translation, step: Step) -> None:
        value = step.operand(0).value
        rank = t.array(value).ndim
        given = step.operands[1] if len(step.operands) > 1 else None
        axes = list(range(rank)) if given is None else [int(axis) % rank for axis in t.array(given.value).reshape(-1)]
        keeps = bool(step.geometry.integer("keepdims", 1))
        table = t.writer.constant(f"{step.name}/axes", np.asarray(axes, np.int32))
        output = t.result(step, last=False, params=t.params[value])
        found = options("ReducerOptions", KeepDims=keeps)
        t.writer.operator(code, 2, [t.read(value, last=False), table], output, found)

    return rule


def _row_sums(t: Translation, step: Step) -> None:
    """A product of an int32 tensor and a matrix of ones and zeros: the sums of rows, or of equal blocks of them."""
    value, ones = step.operand(0).value, t.array(step.operand(1).value)
    (*leading, size), blocks = t.array(value).shape, ones.shape[-1]
    if not sums_blocks(ones):
        raise no_form(step, " of other numbers than ones")
    x = t.read(value, last=False)
    if blocks > 1:
        x = t.reshape(x, t.writer.alike(x, f"{step.name}/blocks", (*leading, blocks, size // blocks)))
    axes = t.writer.constant(f"{step.name}/axes", np.asarray([len(leading) + (blocks > 1)], np.int32))
    output = t.result(step, last=False, params=t.params[value])
    t.writer.operator(OP.SUM, 2, [x, axes], output, options("ReducerOptions", KeepDims=blocks == 1))


def _arg(code: int, kind: str) -> Callable[[Translation, Step], None]:
    def rule(t: Translation, step: Step) -> None:
        value = step.operand(0).value
        if step.geometry.integer("select_last_index", 0):
            raise no_form(step, " of the last one")
        axis = step.geometry.integer("axis", 0) % t.array(value).ndim
        place = t.writer.constant(f"{step.name}/axis", np.asarray(axis, np.int32))
        output = t.result(step, last=False)
        shape = t.writer.shape(output)
        x = t.read(value, last=False)
        flat = t.writer.alike(output, f"{step.name}/flat", [n for i, n in enumerate(t.array(value).shape) if i != axis])
        found = options(kind, OutputType=TYPES["int64"])
        t.writer.operator(code, 2, [x, place], flat if len(t.writer.shape(flat)) != len(shape) else output, found)
        if len(t.writer.shape(flat)) != len(shape):
            t.reshape(flat, output)

    return rule


def _products(t: Translation, step: Step) -> None:
    """Products of matrices in int32.

    LiteRT leaves out the zero points where it writes int32, so that they come in by the sums of rows and columns:
    sum (a - Za)(b - Zb) = sum a b - Za sum b - Zb (sum a - K Za).
    """
    numbers, zeros = [t.operand(step, index, last=False) for index in (0, 1)], []
    for read, zero in zip(step.reads[:2], (*step.operands[2:4], None, None), strict=False):
        array, place = t.array(read.value), np.zeros(1, np.int32) if zero is None else t.array(zero.value).reshape(-1)
        if array.ndim < 2 or place.size > 1:
            raise no_form(step, " of vectors, or with a zero point for each channel")
        zeros.append(int(place[0]) - (OFFSET if array.dtype == np.uint8 else 0))
    (a, b), (za, zb) = numbers, zeros
    inner = t.writer.shape(a)[-1]
    terms = []
    if za:
        terms.append(_scaled_sum(t, b, -2, 0, za, f"{step.name}/columns"))
    if zb:
        terms.append(_scaled_sum(t, a, -1, -inner * za, zb, f"{step.name}/rows"))
    name, shape = step.writes[0].name, t.array(step.writes[0].value).shape
    found = t.writer.tensor(f"{name}/raw" if terms else name, shape, None, "int32")
    t.writer.operator(OP.BATCH_MATMUL, 3, [a, b], found, options("BatchMatMulOptions"))
    for left, term in zip(reversed(range(len(terms))), terms, strict=True):
        target = t.writer.alike(found, f"{name}/{left}" if left else name, shape)
        found = t.writer.operator(OP.SUB, 1, [found, term], target, options("SubOptions"))
    t.keep(step.writes[0].value, found, None, last=False)


def _scaled_sum(t: Translation, x: int, axis: int, plus: int, factor: int, name: str) -> int:
    """(The sum along an axis, which stays with one place, + `plus`) * factor."""
    shape = list(t.writer.shape(x))
    wide = t.writer.operator(OP.CAST, 1, [x], t.writer.tensor(f"{name}/wide", shape, None, "int32"), options("CastOptions"))
    axes = t.writer.constant(f"{name}/axes", np.asarray([axis % len(shape)], np.int32))
    shape[axis] = 1
    total = t.writer.tensor(f"{name}/sums", shape, None, "int32")
    t.writer.operator(OP.SUM, 2, [wide, axes], total, options("ReducerOptions", KeepDims=True))
    for code, kind, number in ((OP.ADD, "Add", plus), (OP.MUL, "Mul", factor)):
        constant = t.writer.constant(f"{name}/{kind}", np.asarray([number], np.int32))
        total = t.writer.operator(
            code, 1, [total, constant], t.writer.alike(total, f"{name}/{kind}", shape), options(f"{kind}Options")
        )
    return total


RULES: dict[str, Callable[[Translation, Step], None]] = {
    "MatMulInteger": _products,
    "MatMul": _row_sums,
    "Cast": _cast,
    "Where": _where,
    "BitwiseXor": _xor,
    "Add": _elementwise(OP.ADD, options("AddOptions")),
    "Sub": _elementwise(OP.SUB, options("SubOptions")),
    "Mul": _elementwise(OP.MUL, options("MulOptions")),
    "Div": _elementwise(OP.DIV, options("DivOptions")),
    "Max": _elementwise(OP.MAXIMUM, options("MaximumMinimumOptions")),
    "Min": _elementwise(OP.MINIMUM, options("MaximumMinimumOptions")),
    "GreaterOrEqual": _elementwise(OP.GREATER_EQUAL, options("GreaterEqualOptions")),
    "Greater": _elementwise(OP.GREATER, options("GreaterOptions")),
    "Less": _elementwise(OP.LESS, options("LessOptions")),
    "LessOrEqual": _elementwise(OP.LESS_EQUAL, options("LessEqualOptions")),
    "Equal": _elementwise(OP.EQUAL, options("EqualOptions")),
    "And": _elementwise(OP.LOGICAL_AND, options("LogicalAndOptions")),
    "Or": _elementwise(OP.LOGICAL_OR, options("LogicalOrOptions")),
    "ReduceSum": _reduce(OP.SUM),
    "ReduceMean": _reduce(OP.MEAN),
    "ReduceMax": _reduce(OP.REDUCE_MAX),
    "ReduceMin": _reduce(OP.REDUCE_MIN),
    "ArgMax": _arg(OP.ARG_MAX, "ArgMaxOptions"),
    "ArgMin": _arg(OP.ARG_MIN, "ArgMinOptions"),
}

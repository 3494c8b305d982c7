"""What only moves elements, in TFLite."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.integer.execution.kernels import compute
from qconv.integer.step import Step

from .layers import pad_into
from .tables import lookup, pass_table
from .translate import FIRST, LAST, OP, Translation, as_signed, integers, no_form, signed
from .writer import Array, options


def concat(t: Translation, step: Step) -> None:
    """Joins parts under one scale, and rescales those that have another one."""
    output = step.writes[0].value
    rank = len(t.array(output).shape)
    last = any(read.value in t.last for read in step.reads)
    axis = step.geometry.integer("axis", 0) % rank
    found = None if step.op == "Concat" else t.own(step)
    kept = next((t.params[read.value] for read in step.reads if read.value in t.numbers), None)
    wanted = kept if found is None else signed(found)
    parts = []
    for index, read in enumerate(step.reads):
        part = t.operand(step, index, last=last)
        own = wanted if read.params is None or step.op == "Concat" else signed(read.params)
        if own is not None and wanted is not None and own != wanted and read.value in t.params:
            part = t.scaled(
                part, t.writer.tensor(f"{step.name}/part{index}", t.writer.shape(part), wanted), f"{step.name}/part{index}"
            )
        parts.append(part)
    if len(parts) == 1:  # QLinearConcat of one tensor rescales it
        t.keep(output, parts[0], wanted, last=last)
        return
    result = t.result(step, last=last, params=wanted)
    place = LAST.index(axis) if last and rank == 4 else axis
    t.writer.operator(OP.CONCATENATION, 2, parts, result, options("ConcatenationOptions", Axis=place))


def reshape(t: Translation, step: Step) -> None:
    """Writes the same elements in another shape, or the table that they are flattened for."""
    value, output = step.operand(0).value, step.writes[0].value
    if (found := pass_table(t, step)) is not None:
        lookup(t, value, *found)
        return
    params = t.params[value]
    target = t.writer.alike(t.numbers[value], str(output.name), t.array(output).shape)
    t.keep(output, t.reshape(t.read(value, last=False), target), params, last=False)


def transpose(t: Translation, step: Step) -> None:
    """Writes another order of the axes, which costs nothing where it turns channels last into channels first or back."""
    value, output = step.operand(0).value, step.writes[0].value
    order = list(step.geometry.integers("perm"))
    if value in t.last and order == list(LAST):
        t.keep(output, t.numbers[value], t.params[value], last=False)
        return
    if value not in t.last and order == list(FIRST) and len(t.writer.shape(t.numbers[value])) == 4:
        t.keep(output, t.numbers[value], t.params[value], last=True)
        return
    axes = t.writer.constant(f"{step.name}/axes", np.asarray(order, np.int32))
    result = t.result(step, last=False, params=t.params[value])
    t.writer.operator(OP.TRANSPOSE, 2, [t.read(value, last=False), axes], result, options("TransposeOptions"))


def pad(t: Translation, step: Step) -> None:
    """Puts a code around a tensor."""
    value = step.operand(0).value
    if step.geometry.text("mode", "constant") != "constant":
        move(t, step)
        return
    rank = len(t.array(value).shape)
    pads, given, axes = (found or default for found, default in zip(_numbers(t, step, 3), ([], [0], range(rank)), strict=True))
    widths = [(0, 0)] * rank
    for place, axis in enumerate(axes):
        widths[axis % rank] = pads[place], pads[place + len(axes)]
    if min(min(width) for width in widths) < 0:
        raise no_form(step, " that cuts off")
    last, params = value in t.last, t.codes(value)
    widths = [widths[axis] for axis in LAST] if last else widths
    code = int(as_signed(np.asarray(given[0], t.array(value).dtype)))
    output = t.result(step, last=last, params=params)
    pad_into(t, t.read(value, last=last), widths, code, params, step.name, output)


def _numbers(t: Translation, step: Step, count: int) -> list[list[int]]:
    """The `count` operands behind the first one as numbers; none for one that is left out."""
    operands = (*step.operands[1:], *(None,) * count)[:count]
    return [[] if operand is None else integers(t.array(operand.value)) for operand in operands]


def slices(t: Translation, step: Step) -> None:
    """Takes a part of a tensor in steps."""
    value = step.operand(0).value
    shape = t.array(value).shape
    starts, ends, axes, steps = _numbers(t, step, 4)
    axes, steps = axes or list(range(len(starts))), steps or [1] * len(starts)
    ranges = [slice(0, size, 1).indices(size) for size in shape]
    for start, end, axis, step_ in zip(starts, ends, axes, steps, strict=True):
        ranges[axis] = slice(start, end if step_ > 0 or end >= 0 else None, step_).indices(shape[axis])
    if min(step_ for _, _, step_ in ranges) < 1:
        move(t, step)
        return
    last = value in t.last
    ranges = [ranges[axis] for axis in LAST] if last else ranges
    tables = [t.writer.constant(f"{step.name}/{name}", np.asarray(column, np.int32))
              for name, column in zip(("begin", "end", "strides"), zip(*ranges, strict=True), strict=True)]  # fmt: skip
    output = t.result(step, last=last, params=t.params[value])
    t.writer.operator(OP.STRIDED_SLICE, 2, [t.read(value, last=last), *tables], output, options("StridedSliceOptions"))


def move(t: Translation, step: Step) -> None:
    """Takes elements at constant places, which are found by moving numbers that count them."""
    value = step.operand(0).value
    if any(read.value in t.numbers for read in step.reads[1:]):
        raise no_form(step, " at computed places")
    shape, last = t.array(value).shape, value in t.last
    counted = np.arange(np.prod(shape, dtype=int), dtype=np.int32)
    counted = counted.reshape([shape[axis] for axis in LAST]).transpose(FIRST) if last else counted.reshape(shape)
    others = [None if operand is None else t.array(operand.value) for operand in step.operands[1:]]
    found = compute(step, [counted, *others])
    flat = t.writer.alike(t.numbers[value], f"{step.name}/flat", (counted.size,))
    t.reshape(t.numbers[value], flat)
    for output, places in zip(step.writes, found, strict=True):
        if output.is_read:
            _at_places(t, flat, places, output.value, t.numbers[value], last=last and places.ndim == 4)
            t.params[output.value] = t.params[value]


def _at_places(t: Translation, flat: int, places: Array, output: ir.Value, like: int, *, last: bool) -> None:
    places = places.transpose(LAST) if last else places
    index = t.writer.constant(f"{output.name}/places", places.reshape(-1).astype(np.int32))
    row = t.writer.alike(like, f"{output.name}/row", (places.size,))
    t.writer.operator(OP.GATHER, 2, [flat, index], row, options("GatherOptions", Axis=0))
    target = t.writer.alike(like, str(output.name), places.shape)
    t.keep(output, t.reshape(row, target), None, last=last)


def depth_to_space(t: Translation, step: Step) -> None:
    """DEPTH_TO_SPACE, whose channels lie as in mode DCR: those of mode CRD are put in that order before."""
    value = step.operand(0).value
    if value not in t.last:
        move(t, step)
        return
    block, params, source = step.geometry.integer("blocksize", 1), t.params[value], t.read(value, last=True)
    shape = t.writer.shape(source)
    channels = shape[3] // (block * block)
    if step.geometry.text("mode", "DCR") == "CRD" and channels > 1:
        order = np.arange(shape[3], dtype=np.int32).reshape(channels, block * block).T.reshape(-1)
        places = t.writer.constant(f"{step.name}/channels", order)
        ordered = t.writer.alike(source, f"{step.name}/ordered", shape)
        source = t.writer.operator(OP.GATHER, 2, [source, places], ordered, options("GatherOptions", Axis=3))
    output = t.result(step, last=True, params=params)
    t.writer.operator(OP.DEPTH_TO_SPACE, 2, [source], output, options("DepthToSpaceOptions", BlockSize=block))


def take(t: Translation, step: Step) -> None:
    """Takes slices of a constant at computed indices, or writes a Gather of a tensor as a move."""
    data, index = step.operand(0).value, step.operand(1).value
    if data in t.numbers:
        move(t, step)
        return
    table, own = t.array(data), step.writes[0].params
    if step.op == "GatherElements" and table.ndim != 1:
        raise no_form(step, " of a table with several axes")
    axis, last = step.geometry.integer("axis", 0) % table.ndim, step.op == "GatherElements" and index in t.last
    codes = t.writer.constant(str(data.name), as_signed(table), None if own is None else signed(own))
    output = t.result(step, last=last, params=own)
    t.writer.operator(OP.GATHER, 3, [codes, t.read(index, last=last)], output, options("GatherOptions", Axis=axis))

"""Operators by element and operators that move elements, and the table of all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qconv.export.chosen import gather_elements, scatter_elements, top_k
from qconv.export.layers import (
    binary,
    concat,
    concat_codes,
    conv,
    global_average,
    leaky_relu,
    matmul,
    matmul_integer,
    pool,
    sigmoid,
    softmax,
)
from qconv.export.network import Array, Attribute, Tensor
from qconv.export.repeated import scan
from qconv.export.tracer import Tracer, no_form
from qconv.integer.execution.kernels import compute
from qconv.integer.step import Step
from qconv.quant.reciprocal_root import sums_blocks


def _pad(trace: Tracer, step: Step) -> None:
    if any(operand.value in trace.dynamic for operand in step.reads[1:]):
        raise no_form(step)
    if step.geometry.text("mode", "constant") != "constant":
        trace.move(step)
        return
    rank = trace.values(step.operand(0)).ndim
    pads, value, axes = (None if v is None else trace.values(v) for v in (*step.operands[1:], None, None)[:3])
    assert pads is not None
    chosen = range(rank) if axes is None else [int(axis) % rank for axis in axes]
    before, after = [0] * rank, [0] * rank
    for place, axis in enumerate(chosen):
        before[axis], after[axis] = int(pads[place]), int(pads[place + len(chosen)])
    fill = 0 if value is None else int(value.reshape(-1)[0])
    trace.emit(step, "pad", [trace.name(step.operand(0))], {"before": before, "after": after, "value": fill})


def _scatter(trace: Tracer, step: Step) -> None:
    """The data, then the updates, and where each element of the output lies in the two."""
    output, parts, start = step.writes[0], list[str](), 0
    if step.operand(1).value in trace.dynamic:
        raise no_form(step)
    numbered: list[Array] = []
    for index in (0, 2):
        array = trace.values(step.operand(index))
        flat = f"{output.name}/flat{index}"
        trace.tensors[flat] = Tensor(flat, array.dtype, (array.size,), output.params)
        parts.append(trace.emit(step, "reshape", [trace.name(step.operand(index))], output=flat))
        numbered.append(np.arange(start, start + array.size, dtype=np.int32).reshape(array.shape))
        start += array.size
    (places,) = compute(step, [numbered[0], trace.values(step.operand(1)), numbered[1]])
    both = f"{output.name}/both"
    trace.tensors[both] = Tensor(both, trace.tensors[parts[0]].dtype, (start,), output.params)
    trace.emit(step, "concat", parts, {"axis": 0}, output=both)
    table = trace.constant(f"{output.name}/places", places.reshape(-1).astype(np.int32))
    trace.emit(step, "gather", [both, table])


def _scatter_elements(trace: Tracer, step: Step) -> None:
    rule = scatter_elements if step.operand(1).value in trace.dynamic else _scatter
    rule(trace, step)


def _elementwise(op: str) -> Callable[[Tracer, Step], None]:
    def rule(trace: Tracer, step: Step) -> None:
        names = [trace.name(operand) for operand in step.reads]
        while len(names) > 2 and op != "where":
            part = f"{step.writes[0].name}/{len(names)}"
            shape = np.broadcast_shapes(*(trace.tensors[name].shape for name in names[:2]))
            trace.tensors[part] = Tensor(part, trace.tensors[names[0]].dtype, shape)
            trace.emit(step, op, names[:2], output=part)
            names = [part, *names[2:]]
        trace.emit(step, op, names)

    return rule


def _clip(trace: Tracer, step: Step) -> None:
    limits = np.iinfo(trace.values(step.writes[0]).dtype)
    bounds = [int(limits.min), int(limits.max)]
    for place, operand in enumerate(step.operands[1:3]):
        if operand is not None:
            bounds[place] = int(trace.values(operand).reshape(()))
    trace.emit(step, "clip", [trace.name(step.operand(0))], {"low": bounds[0], "high": bounds[1]})


def _cast(trace: Tracer, step: Step) -> None:
    trace.emit(step, "cast", [trace.name(step.operand(0))])


def _gather(trace: Tracer, step: Step) -> None:
    """Rows of a constant by computed indices along an axis."""
    axis = step.geometry.integer("axis", 0) % trace.values(step.operand(0)).ndim
    trace.emit(step, "take", [trace.name(operand) for operand in step.reads], {"axis": axis})


def _reduce(op: str) -> Callable[[Tracer, Step], None]:
    def rule(trace: Tracer, step: Step) -> None:
        rank = trace.values(step.operand(0)).ndim
        given = step.operands[1] if len(step.operands) > 1 else None
        axes = range(rank) if given is None else [int(axis) % rank for axis in trace.values(given).reshape(-1)]
        trace.emit(step, op, [trace.name(step.operand(0))], {"axes": sorted(axes)})

    return rule


def _row_sums(trace: Tracer, step: Step) -> None:
    """A product of an int32 tensor and a matrix of ones and zeros: the sums of rows, or of equal blocks of them."""
    x, ones = (trace.values(step.operand(index)) for index in (0, 1))
    if step.operand(1).value in trace.dynamic or not sums_blocks(ones):
        raise no_form(step)
    name, blocks = trace.name(step.operand(0)), ones.shape[1]
    if blocks > 1:
        part, (*leading, size) = f"{step.writes[0].name}/blocks", x.shape
        trace.tensors[part] = Tensor(part, x.dtype, (*leading, blocks, size // blocks))
        name = trace.emit(step, "reshape", [name], output=part)
    trace.emit(step, "reduce_sum", [name], {"axes": [x.ndim if blocks > 1 else x.ndim - 1]})


def _arg(op: str) -> Callable[[Tracer, Step], None]:
    def rule(trace: Tracer, step: Step) -> None:
        found: dict[str, Attribute] = {
            "axis": step.geometry.integer("axis", 0) % trace.values(step.operand(0)).ndim,
            "last": step.geometry.integer("select_last_index", 0),
        }
        trace.emit(step, op, [trace.name(step.operand(0))], found)

    return rule


_ELEMENTWISE = {
    "Add": "plus", "Sub": "minus", "Mul": "times", "Div": "divide", "Max": "max", "Min": "min", "BitwiseXor": "xor",
    "GreaterOrEqual": "at_least", "Greater": "above", "Less": "below", "LessOrEqual": "at_most", "Equal": "equal",
    "And": "and", "Or": "or",
}  # fmt: skip
RULES: dict[str, Callable[[Tracer, Step], None]] = {
    "QLinearConv": conv,
    "QLinearMatMul": matmul,
    "QGemm": matmul,
    "MatMulInteger": matmul_integer,
    "MatMul": _row_sums,
    "QLinearAdd": binary("add"),
    "QLinearMul": binary("mul"),
    "QLinearLeakyRelu": leaky_relu,
    "QLinearSigmoid": sigmoid,
    "QLinearConcat": concat_codes,
    "QLinearSoftmax": softmax,
    "QLinearGlobalAveragePool": global_average,
    "QLinearAveragePool": pool("average_pool"),
    "MaxPool": pool("max_pool"),
    "Concat": concat,
    "Pad": _pad,
    "Clip": _clip,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter,
    "Resize": lambda trace, step: trace.move(step),
    "Cast": _cast,
    "Gather": _gather,
    "GatherElements": gather_elements,
    "TopK": top_k,
    "ArgMax": _arg("argmax"),
    "ArgMin": _arg("argmin"),
    "Where": _elementwise("where"),
    "Scan": scan,
    **{name: _elementwise(op) for name, op in _ELEMENTWISE.items()},
    **{f"Reduce{name}": _reduce(f"reduce_{name.lower()}") for name in ("Sum", "Mean", "Max", "Min")},
}  # fmt: skip

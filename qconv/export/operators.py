"""Operators by element and operators that move elements, and the table of all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qconv.errors import FloatNodesError
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
    values_of,
)
from qconv.export.network import Array, Attribute, Tensor
from qconv.export.tracer import Tracer, name_of, no_form
from qconv.integer.execution.executor import Executor
from qconv.integer.program import Step


def _pad(trace: Tracer, step: Step) -> None:
    node = step.node
    x, others = (
        values_of(trace, node.inputs[0]),
        [None if v is None else values_of(trace, v) for v in node.inputs[1:]],
    )
    if node.attributes.get_string("mode", "constant") != "constant":
        trace.move(step)
        return
    pads = others[0]
    assert pads is not None
    value = others[1] if len(others) > 1 and others[1] is not None else np.zeros(())
    axes = range(x.ndim) if len(others) < 3 or others[2] is None else [int(a) % x.ndim for a in others[2]]
    before, after = [0] * x.ndim, [0] * x.ndim
    for place, axis in enumerate(axes):
        before[axis], after[axis] = int(pads[place]), int(pads[place + len(list(axes))])
    trace.emit(step, "pad", [trace.name(node.inputs[0])], {"before": before, "after": after, "value": int(value.reshape(-1)[0])})


def _scatter(trace: Tracer, step: Step) -> None:
    """The data, then the updates, and where each element of the output lies in the two."""
    node, parts, start = step.node, list[str](), 0
    if node.inputs[1] in trace.dynamic:
        raise no_form(step)
    numbered: list[Array] = []
    for index in (0, 2):
        array = values_of(trace, node.inputs[index])
        flat = f"{name_of(node.outputs[0])}/flat{index}"
        trace.tensors[flat] = Tensor(flat, array.dtype, (array.size,), step.writes[0].params)
        parts.append(trace.emit(step, "reshape", [trace.name(node.inputs[index])], output=flat))
        numbered.append(np.arange(start, start + array.size, dtype=np.int32).reshape(array.shape))
        start += array.size
    (places,) = Executor(trace.model).run_node(node, [numbered[0], values_of(trace, node.inputs[1]), numbered[1]])
    both = f"{name_of(node.outputs[0])}/both"
    trace.tensors[both] = Tensor(both, trace.tensors[parts[0]].dtype, (start,), step.writes[0].params)
    trace.emit(step, "concat", parts, {"axis": 0}, output=both)
    table = trace.constant(f"{name_of(node.outputs[0])}/places", places.reshape(-1).astype(np.int32))
    trace.emit(step, "gather", [both, table])


def _elementwise(op: str) -> Callable[[Tracer, Step], None]:
    def rule(trace: Tracer, step: Step) -> None:
        names = [trace.name(v) for v in step.node.inputs if v is not None]
        while len(names) > 2 and op != "where":
            part = f"{step.node.outputs[0].name}/{len(names)}"
            shape = np.broadcast_shapes(*(trace.tensors[name].shape for name in names[:2]))
            trace.tensors[part] = Tensor(part, trace.tensors[names[0]].dtype, shape)
            trace.emit(step, op, names[:2], output=part)
            names = [part, *names[2:]]
        trace.emit(step, op, names)

    return rule


def _clip(trace: Tracer, step: Step) -> None:
    limits = np.iinfo(values_of(trace, step.node.outputs[0]).dtype)
    bounds = [int(limits.min), int(limits.max)]
    for place, value in enumerate(step.node.inputs[1:3]):
        if value is not None:
            bounds[place] = int(values_of(trace, value).reshape(()))
    trace.emit(step, "clip", [trace.name(step.node.inputs[0])], {"low": bounds[0], "high": bounds[1]})


def _cast(trace: Tracer, step: Step) -> None:
    trace.emit(step, "cast", [trace.name(step.node.inputs[0])])


def _gather(trace: Tracer, step: Step) -> None:
    """Rows of a constant by computed indices along an axis."""
    rank = len(values_of(trace, step.node.inputs[0]).shape)
    names = [trace.name(v) for v in step.node.inputs]
    trace.emit(step, "take", names, {"axis": step.node.attributes.get_int("axis", 0) % rank})


def _gather_elements(trace: Tracer, step: Step) -> None:
    table = values_of(trace, step.node.inputs[0])
    if table.ndim != 1:
        raise FloatNodesError(
            f"node {step.name} (GatherElements) has no form outside onnxruntime yet; keep the ONNX model for it"
        )
    trace.emit(step, "take", [trace.name(v) for v in step.node.inputs], {"axis": 0})


def _reduce(op: str) -> Callable[[Tracer, Step], None]:
    def rule(trace: Tracer, step: Step) -> None:
        value = step.node.inputs[0]
        x = values_of(trace, value)
        given = step.node.inputs[1] if len(step.node.inputs) > 1 else None
        axes = list(range(x.ndim)) if given is None else [int(a) % x.ndim for a in values_of(trace, given).reshape(-1)]
        trace.emit(step, op, [trace.name(value)], {"axes": sorted(axes)})

    return rule


def _arg(op: str) -> Callable[[Tracer, Step], None]:
    def rule(trace: Tracer, step: Step) -> None:
        value, attributes = step.node.inputs[0], step.node.attributes
        rank = len(values_of(trace, value).shape)
        found: dict[str, Attribute] = {
            "axis": attributes.get_int("axis", 0) % rank,
            "last": attributes.get_int("select_last_index", 0),
        }
        trace.emit(step, op, [trace.name(value)], found)

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
    "ScatterElements": _scatter,
    "ScatterND": _scatter,
    "Resize": lambda trace, step: trace.move(step),
    "Cast": _cast,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "ArgMax": _arg("argmax"),
    "ArgMin": _arg("argmin"),
    "Where": _elementwise("where"),
    **{name: _elementwise(op) for name, op in _ELEMENTWISE.items()},
    **{f"Reduce{name}": _reduce(f"reduce_{name.lower()}") for name in ("Sum", "Mean", "Max", "Min")},
}  # fmt: skip

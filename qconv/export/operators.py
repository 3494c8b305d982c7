"""What every operator of the integer language becomes in a network: one function for each that computes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from qconv.errors import FloatNodesError
from qconv.export.network import Array, Attribute, Rescale, Tensor
from qconv.export.tracer import Tracer, name_of, no_form
from qconv.integer.execution.executor import Executor
from qconv.integer.execution.kernels.requantize import requantize_table
from qconv.integer.execution.kernels.softmax import exponentials
from qconv.integer.execution.kernels.tables import sigmoid_table
from qconv.integer.execution.kernels.windows import Window
from qconv.integer.language.multipliers import constant, leaky, mean, product, ratio
from qconv.integer.language.operands import Triple, layout_of
from qconv.integer.program import Step


def _zero(step: Step, index: int) -> int:
    params = step.reads[index].params
    return 0 if params is None else int(params.zero_point.reshape(-1)[0])


def _scale(step: Step, index: int) -> Array:
    params = step.reads[index].params
    assert params is not None
    return np.asarray(params.scale)


def _of_output(step: Step, place: Callable[[Triple], int]) -> Array:
    """What the node itself has for its output: channel scales are taken off there, and a clamp may stand behind it."""
    layout = layout_of(step.node)
    assert layout is not None
    found = constant(step.node, place(layout.writes))
    assert found is not None
    return found


def _y_scale(step: Step) -> Array:
    return _of_output(step, lambda triple: triple.scale)


def _y_zero(step: Step) -> int:
    return int(_of_output(step, lambda triple: triple.zero_point).reshape(-1)[0])


def _array(trace: Tracer, value: ir.Value | None) -> Array:
    """The values of a tensor in the run."""
    assert value is not None
    return trace.arrays[str(value.name)]


def _conv(trace: Tracer, step: Step) -> None:
    x = trace.arrays[step.reads[0].name]
    weight = trace.arrays[step.reads[1].name]
    window = Window.of(step.node, list(weight.shape[2:]), x.shape[2:])
    attributes: dict[str, Attribute] = {
        "strides": list(window.strides), "dilations": list(window.dilations), "pads": list(window.before),
        "group": step.node.attributes.get_int("group", 1), "x_zero_point": _zero(step, 0), "y_zero_point": _y_zero(step),
    }  # fmt: skip
    inputs = [trace.name(operand.value) for operand in step.reads] + ([] if step.bias is None else [trace.name(step.bias)])
    multiplier = product(_scale(step, 0), _scale(step, 1), _y_scale(step))
    trace.emit(step, "conv", inputs, attributes, (Rescale.of(multiplier, 1),))


def _matmul(trace: Tracer, step: Step) -> None:
    a, b = (trace.name(operand.value) for operand in step.reads[:2])
    if step.node.attributes.get_int("transB", 0):
        turned = f"{b}/transposed"
        b = turned if turned in trace.tensors else trace.constant(turned, trace.arrays[b].T)
    inputs = [a, b] + ([] if step.bias is None else [trace.name(step.bias)])
    attributes: dict[str, Attribute] = {
        "a_zero_point": _zero(step, 0), "b_zero_point": _zero(step, 1), "y_zero_point": _y_zero(step),
    }  # fmt: skip
    rank = len(_array(trace, step.node.outputs[0]).shape)
    multiplier = product(_scale(step, 0), _scale(step, 1), _y_scale(step))
    trace.emit(step, "matmul", inputs, attributes, (Rescale.of(multiplier, rank - 1),))


def _matmul_integer(trace: Tracer, step: Step) -> None:
    zeros = [_array(trace, v) if v is not None else np.zeros(1) for v in (*step.node.inputs[2:], None, None)][:2]
    attributes: dict[str, Attribute] = {
        "a_zero_point": int(zeros[0].reshape(-1)[0]), "b_zero_point": int(zeros[1].reshape(-1)[0]), "y_zero_point": 0,
    }  # fmt: skip
    trace.emit(step, "matmul", [trace.name(v) for v in step.node.inputs[:2]], attributes)


def _binary(op: str) -> Callable[[Tracer, Step], None]:
    def rule(trace: Tracer, step: Step) -> None:
        attributes: dict[str, Attribute] = {
            "a_zero_point": _zero(step, 0), "b_zero_point": _zero(step, 1), "y_zero_point": _y_zero(step),
        }  # fmt: skip
        if op == "add":
            multipliers = [ratio(_scale(step, index), _y_scale(step)) for index in (0, 1)]
        else:
            multipliers = [product(_scale(step, 0), _scale(step, 1), _y_scale(step))]
        inputs = [trace.name(operand.value) for operand in step.reads]
        trace.emit(
            step, op, inputs, attributes, tuple(Rescale.of(m.__class__(m.m0.reshape(()), m.n.reshape(()))) for m in multipliers)
        )

    return rule


def _lookup(trace: Tracer, step: Step, table: Array, x: str | None = None, output: str | None = None) -> str:
    """A table of 256 codes, ordered by bit pattern."""
    source = trace.name(step.reads[0].value) if x is None else x
    name = trace.constant(f"{output or step.node.outputs[0].name}/table", table)
    return trace.emit(step, "lookup", [source, name], output=output)


def _leaky_relu(trace: Tracer, step: Step) -> None:
    dtype, zero = trace.arrays[step.reads[0].name].dtype, _zero(step, 0)
    above, below = leaky(_scale(step, 0), _y_scale(step), step.node.attributes.get_float("alpha", 0.01))
    tables = [requantize_table(m, zero, _y_zero(step), dtype) for m in (above, below)]
    values = np.arange(256, dtype=np.uint8).view(dtype).astype(np.int64)
    _lookup(trace, step, np.where(values >= zero, *tables))


def _sigmoid(trace: Tracer, step: Step) -> None:
    dtype = trace.arrays[step.reads[0].name].dtype
    scales = float(_scale(step, 0).reshape(())), float(_y_scale(step).reshape(()))
    _lookup(trace, step, sigmoid_table(scales[0], _zero(step, 0), scales[1], _y_zero(step), dtype))


def _concat_codes(trace: Tracer, step: Step) -> None:
    axis = step.node.attributes.get_int("axis")
    y_scale, y_zero = _y_scale(step), _y_zero(step)
    parts = list[str]()
    alone = len(step.reads) == 1
    for index, operand in enumerate(step.reads):
        scale, zero, name = _scale(step, index), _zero(step, index), trace.name(operand.value)
        if np.array_equal(scale.reshape(()), y_scale.reshape(())) and zero == y_zero:
            parts.append(name)
            continue
        array = trace.arrays[operand.name]
        table = requantize_table(ratio(scale.reshape(()), y_scale.reshape(())), zero, y_zero, array.dtype)
        if alone:
            _lookup(trace, step, table)
            return
        part = f"{step.node.outputs[0].name}/part{index}"
        trace.tensors[part] = Tensor(part, array.dtype, array.shape, step.writes[0].params)
        parts.append(_lookup(trace, step, table, name, part))
    if alone:
        trace.emit(step, "reshape", parts)
    else:
        trace.emit(step, "concat", parts, {"axis": axis % len(trace.arrays[step.reads[0].name].shape)})


def _concat(trace: Tracer, step: Step) -> None:
    parts = [trace.name(v) for v in step.node.inputs]
    rank = len(_array(trace, step.node.outputs[0]).shape)
    trace.emit(step, "concat", parts, {"axis": step.node.attributes.get_int("axis") % rank})


def _softmax(trace: Tracer, step: Step) -> None:
    array = trace.arrays[step.reads[0].name]
    axis = step.node.attributes.get_int("axis", -1) % array.ndim
    table = exponentials(float(_scale(step, 0).reshape(())), array.shape[axis]).view(np.uint32)
    name = trace.constant(f"{step.node.outputs[0].name}/exponentials", table)
    steps = int(np.floor(np.float32(1) / np.float32(_y_scale(step).reshape(()))))
    attributes: dict[str, Attribute] = {"axis": axis, "steps": steps, "y_zero_point": _y_zero(step)}
    trace.emit(step, "softmax", [trace.name(step.reads[0].value), name], attributes)


def _global_average(trace: Tracer, step: Step) -> None:
    array = trace.arrays[step.reads[0].name]
    multiplier = mean(_scale(step, 0).reshape(()), _y_scale(step).reshape(()), int(np.prod(array.shape[2:])))
    attributes: dict[str, Attribute] = {"x_zero_point": _zero(step, 0), "y_zero_point": _y_zero(step)}
    trace.emit(step, "global_average", [trace.name(step.reads[0].value)], attributes, (Rescale.of(multiplier),))


def _pool(op: str) -> Callable[[Tracer, Step], None]:
    def rule(trace: Tracer, step: Step) -> None:
        value = step.node.inputs[0]
        x = _array(trace, value)
        kernel = list(step.node.attributes.get_ints("kernel_shape"))
        window = Window.of(step.node, kernel, x.shape[2:], pool=True)
        attributes: dict[str, Attribute] = {
            "kernel": kernel, "strides": list(window.strides), "dilations": list(window.dilations), "pads": list(window.before),
        }  # fmt: skip
        if op == "average_pool":
            attributes["x_zero_point"] = _zero(step, 0)
            attributes["counts_padding"] = step.node.attributes.get_int("count_include_pad", 0)
        trace.emit(step, op, [trace.name(value)], attributes)

    return rule


def _pad(trace: Tracer, step: Step) -> None:
    node = step.node
    x, others = (
        _array(trace, node.inputs[0]),
        [None if v is None else _array(trace, v) for v in node.inputs[1:]],
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
        array = _array(trace, node.inputs[index])
        flat = f"{name_of(node.outputs[0])}/flat{index}"
        trace.tensors[flat] = Tensor(flat, array.dtype, (array.size,), step.writes[0].params)
        parts.append(trace.emit(step, "reshape", [trace.name(node.inputs[index])], output=flat))
        numbered.append(np.arange(start, start + array.size, dtype=np.int32).reshape(array.shape))
        start += array.size
    (places,) = Executor(trace.model).run_node(node, [numbered[0], _array(trace, node.inputs[1]), numbered[1]])
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
    limits = np.iinfo(_array(trace, step.node.outputs[0]).dtype)
    bounds = [int(limits.min), int(limits.max)]
    for place, value in enumerate(step.node.inputs[1:3]):
        if value is not None:
            bounds[place] = int(_array(trace, value).reshape(()))
    trace.emit(step, "clip", [trace.name(step.node.inputs[0])], {"low": bounds[0], "high": bounds[1]})


def _cast(trace: Tracer, step: Step) -> None:
    trace.emit(step, "cast", [trace.name(step.node.inputs[0])])


def _gather(trace: Tracer, step: Step) -> None:
    """Rows of a constant by computed indices along an axis."""
    rank = len(_array(trace, step.node.inputs[0]).shape)
    names = [trace.name(v) for v in step.node.inputs]
    trace.emit(step, "take", names, {"axis": step.node.attributes.get_int("axis", 0) % rank})


def _gather_elements(trace: Tracer, step: Step) -> None:
    table = _array(trace, step.node.inputs[0])
    if table.ndim != 1:
        raise FloatNodesError(
            f"node {step.name} (GatherElements) has no form outside onnxruntime yet; keep the ONNX model for it"
        )
    trace.emit(step, "take", [trace.name(v) for v in step.node.inputs], {"axis": 0})


def _reduce(op: str) -> Callable[[Tracer, Step], None]:
    def rule(trace: Tracer, step: Step) -> None:
        value = step.node.inputs[0]
        x = _array(trace, value)
        given = step.node.inputs[1] if len(step.node.inputs) > 1 else None
        axes = list(range(x.ndim)) if given is None else [int(a) % x.ndim for a in _array(trace, given).reshape(-1)]
        trace.emit(step, op, [trace.name(value)], {"axes": sorted(axes)})

    return rule


def _arg(op: str) -> Callable[[Tracer, Step], None]:
    def rule(trace: Tracer, step: Step) -> None:
        value, attributes = step.node.inputs[0], step.node.attributes
        rank = len(_array(trace, value).shape)
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
    "QLinearConv": _conv,
    "QLinearMatMul": _matmul,
    "QGemm": _matmul,
    "MatMulInteger": _matmul_integer,
    "QLinearAdd": _binary("add"),
    "QLinearMul": _binary("mul"),
    "QLinearLeakyRelu": _leaky_relu,
    "QLinearSigmoid": _sigmoid,
    "QLinearConcat": _concat_codes,
    "QLinearSoftmax": _softmax,
    "QLinearGlobalAveragePool": _global_average,
    "QLinearAveragePool": _pool("average_pool"),
    "MaxPool": _pool("max_pool"),
    "Concat": _concat,
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

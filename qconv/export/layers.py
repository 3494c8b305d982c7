"""Operators with a rescaling, pools and Softmax in a network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from qconv.export.network import Array, Attribute, Rescale, Tensor
from qconv.export.tracer import Tracer
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
    """Returns a parameter of the node for its output: without scales of channels, and before a clamp that may stand behind it."""
    layout = layout_of(step.node)
    assert layout is not None
    found = constant(step.node, place(layout.writes))
    assert found is not None
    return found


def _y_scale(step: Step) -> Array:
    return _of_output(step, lambda triple: triple.scale)


def _y_zero(step: Step) -> int:
    return int(_of_output(step, lambda triple: triple.zero_point).reshape(-1)[0])


def values_of(trace: Tracer, value: ir.Value | None) -> Array:
    """Returns the values that a tensor has in the run."""
    assert value is not None
    return trace.arrays[str(value.name)]


def conv(trace: Tracer, step: Step) -> None:
    """Adds a convolution with its rescaling."""
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


def matmul(trace: Tracer, step: Step) -> None:
    """Adds a product of matrices with its rescaling."""
    a, b = (trace.name(operand.value) for operand in step.reads[:2])
    if step.node.attributes.get_int("transB", 0):
        turned = f"{b}/transposed"
        b = turned if turned in trace.tensors else trace.constant(turned, trace.arrays[b].T)
    inputs = [a, b] + ([] if step.bias is None else [trace.name(step.bias)])
    attributes: dict[str, Attribute] = {
        "a_zero_point": _zero(step, 0), "b_zero_point": _zero(step, 1), "y_zero_point": _y_zero(step),
    }  # fmt: skip
    rank = len(values_of(trace, step.node.outputs[0]).shape)
    multiplier = product(_scale(step, 0), _scale(step, 1), _y_scale(step))
    trace.emit(step, "matmul", inputs, attributes, (Rescale.of(multiplier, rank - 1),))


def matmul_integer(trace: Tracer, step: Step) -> None:
    """Adds a product of matrices whose sums stay in int32."""
    zeros = [values_of(trace, v) if v is not None else np.zeros(1) for v in (*step.node.inputs[2:], None, None)][:2]
    attributes: dict[str, Attribute] = {
        "a_zero_point": int(zeros[0].reshape(-1)[0]), "b_zero_point": int(zeros[1].reshape(-1)[0]), "y_zero_point": 0,
    }  # fmt: skip
    trace.emit(step, "matmul", [trace.name(v) for v in step.node.inputs[:2]], attributes)


def binary(op: str) -> Callable[[Tracer, Step], None]:
    """Returns the rule that adds a sum or a product of two scaled codes."""

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


def lookup(trace: Tracer, step: Step, table: Array, x: str | None = None, output: str | None = None) -> str:
    """Adds a lookup in a table of 256 codes, which is ordered by bit pattern."""
    source = trace.name(step.reads[0].value) if x is None else x
    name = trace.constant(f"{output or step.node.outputs[0].name}/table", table)
    return trace.emit(step, "lookup", [source, name], output=output)


def leaky_relu(trace: Tracer, step: Step) -> None:
    """Adds a table for the two multipliers of a LeakyRelu."""
    dtype, zero = trace.arrays[step.reads[0].name].dtype, _zero(step, 0)
    above, below = leaky(_scale(step, 0), _y_scale(step), step.node.attributes.get_float("alpha", 0.01))
    tables = [requantize_table(m, zero, _y_zero(step), dtype) for m in (above, below)]
    values = np.arange(256, dtype=np.uint8).view(dtype).astype(np.int64)
    lookup(trace, step, np.where(values >= zero, *tables))


def sigmoid(trace: Tracer, step: Step) -> None:
    """Adds a table for a Sigmoid."""
    dtype = trace.arrays[step.reads[0].name].dtype
    scales = float(_scale(step, 0).reshape(())), float(_y_scale(step).reshape(()))
    lookup(trace, step, sigmoid_table(scales[0], _zero(step, 0), scales[1], _y_zero(step), dtype))


def concat_codes(trace: Tracer, step: Step) -> None:
    """Adds a join of parts, each of which a table rescales where its scale is another one."""
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
            lookup(trace, step, table)
            return
        part = f"{step.node.outputs[0].name}/part{index}"
        trace.tensors[part] = Tensor(part, array.dtype, array.shape, step.writes[0].params)
        parts.append(lookup(trace, step, table, name, part))
    if alone:
        trace.emit(step, "reshape", parts)
    else:
        trace.emit(step, "concat", parts, {"axis": axis % len(trace.arrays[step.reads[0].name].shape)})


def concat(trace: Tracer, step: Step) -> None:
    """Adds a join of parts that have one scale."""
    parts = [trace.name(v) for v in step.node.inputs]
    rank = len(values_of(trace, step.node.outputs[0]).shape)
    trace.emit(step, "concat", parts, {"axis": step.node.attributes.get_int("axis") % rank})


def softmax(trace: Tracer, step: Step) -> None:
    """Adds a Softmax with its table of exponentials."""
    array = trace.arrays[step.reads[0].name]
    axis = step.node.attributes.get_int("axis", -1) % array.ndim
    table = exponentials(float(_scale(step, 0).reshape(())), array.shape[axis]).view(np.uint32)
    name = trace.constant(f"{step.node.outputs[0].name}/exponentials", table)
    steps = int(np.floor(np.float32(1) / np.float32(_y_scale(step).reshape(()))))
    attributes: dict[str, Attribute] = {"axis": axis, "steps": steps, "y_zero_point": _y_zero(step)}
    trace.emit(step, "softmax", [trace.name(step.reads[0].value), name], attributes)


def global_average(trace: Tracer, step: Step) -> None:
    """Adds the mean of each map, as a sum with one rescaling."""
    array = trace.arrays[step.reads[0].name]
    multiplier = mean(_scale(step, 0).reshape(()), _y_scale(step).reshape(()), int(np.prod(array.shape[2:])))
    attributes: dict[str, Attribute] = {"x_zero_point": _zero(step, 0), "y_zero_point": _y_zero(step)}
    trace.emit(step, "global_average", [trace.name(step.reads[0].value)], attributes, (Rescale.of(multiplier),))


def pool(op: str) -> Callable[[Tracer, Step], None]:
    """Returns the rule that adds the greatest or the mean of windows."""

    def rule(trace: Tracer, step: Step) -> None:
        value = step.node.inputs[0]
        x = values_of(trace, value)
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

"""Operators with a rescaling, pools and Softmax in a network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qconv.export.network import Array, Attribute, Rescale, Tensor
from qconv.export.tracer import Tracer
from qconv.integer.execution.kernels.pools import multiplier_of_mean
from qconv.integer.execution.kernels.softmax import exponentials
from qconv.integer.execution.kernels.tables import leaky_table, part_tables, sigmoid_table
from qconv.integer.execution.kernels.windows import Window
from qconv.integer.step import Step
from qconv.quant.fixedpoint import Multiplier


def _first_zero(step: Step, index: int) -> int:
    """The zero point of an operand that may have one for each channel: they are all the same."""
    return int(step.codes(index).zero_point.flat[0])


def conv(trace: Tracer, step: Step) -> None:
    """Adds a convolution with its rescaling; one of channels last is a product of matrices."""
    if step.geometry.integer("channels_last", 0):
        _product_of_channels(trace, step)
        return
    x, weight = trace.values(step.operand(0)), trace.values(step.operand(1))
    window = Window.of(step.geometry, list(weight.shape[2:]), x.shape[2:])
    attributes: dict[str, Attribute] = {
        "strides": list(window.strides), "dilations": list(window.dilations), "pads": list(window.before),
        "group": step.geometry.integer("group", 1), "x_zero_point": step.codes(0).zero, "y_zero_point": step.result.zero,
    }  # fmt: skip
    inputs = [trace.name(operand) for operand in step.arguments if operand is not None]
    if step.codes(1).zero_point.any():
        inputs[1] = _around_zero(trace, step, inputs[1])
    trace.emit(step, "conv", inputs, attributes, (Rescale.of(step.multipliers[0], 1),))


def _product_of_channels(trace: Tracer, step: Step) -> None:
    """Adds a convolution of one place and channels last, as tuning writes products of rows."""
    weight = trace.values(step.operand(1))
    matrix = trace.constant(f"{step.name}/matrix", np.ascontiguousarray(weight.reshape(len(weight), -1).T))
    inputs = [trace.name(step.operand(0)), matrix] + ([] if step.bias is None else [trace.name(step.bias)])
    attributes: dict[str, Attribute] = {
        "a_zero_point": step.codes(0).zero, "b_zero_point": _first_zero(step, 1), "y_zero_point": step.result.zero,
    }  # fmt: skip
    trace.emit(step, "matmul", inputs, attributes, (Rescale.of(step.multipliers[0], trace.values(step.writes[0]).ndim - 1),))


def _around_zero(trace: Tracer, step: Step, weight: str) -> str:
    """Adds the codes of a weight that is computed, less their zero point, in int16."""
    zero = trace.constant(f"{weight}/zero", np.asarray(step.codes(1).zero, np.int16))
    wide, moved, shape = f"{weight}/wide", f"{weight}/around_zero", trace.tensors[weight].shape
    for name in (wide, moved):
        trace.tensors[name] = Tensor(name, np.dtype(np.int16), shape)
    trace.emit(step, "cast", [weight], output=wide)
    return trace.emit(step, "minus", [wide, zero], output=moved)


def matmul(trace: Tracer, step: Step) -> None:
    """Adds a product of matrices with its rescaling."""
    a, b = (trace.name(operand) for operand in step.reads[:2])
    if step.geometry.integer("transB", 0):
        turned = f"{b}/transposed"
        b = turned if turned in trace.tensors else trace.constant(turned, trace.arrays[b].T)
    inputs = [a, b] + ([] if step.bias is None else [trace.name(step.bias)])
    attributes: dict[str, Attribute] = {
        "a_zero_point": step.codes(0).zero, "b_zero_point": _first_zero(step, 1), "y_zero_point": step.result.zero,
    }  # fmt: skip
    rank = trace.values(step.writes[0]).ndim
    trace.emit(step, "matmul", inputs, attributes, (Rescale.of(step.multipliers[0], rank - 1),))


def matmul_integer(trace: Tracer, step: Step) -> None:
    """Adds a product of matrices whose sums stay in int32."""
    zeros = [np.zeros(1) if v is None else trace.values(v) for v in (*step.operands[2:], None, None)][:2]
    attributes: dict[str, Attribute] = {
        "a_zero_point": int(zeros[0].reshape(-1)[0]), "b_zero_point": int(zeros[1].reshape(-1)[0]), "y_zero_point": 0,
    }  # fmt: skip
    trace.emit(step, "matmul", [trace.name(operand) for operand in step.reads[:2]], attributes)


def binary(op: str) -> Callable[[Tracer, Step], None]:
    """Returns the rule that adds a sum or a product of two scaled codes."""

    def rule(trace: Tracer, step: Step) -> None:
        attributes: dict[str, Attribute] = {
            "a_zero_point": step.codes(0).zero, "b_zero_point": step.codes(1).zero, "y_zero_point": step.result.zero,
        }  # fmt: skip
        rescales = tuple(Rescale.of(Multiplier(m.m0.reshape(()), m.n.reshape(()))) for m in step.multipliers)
        trace.emit(step, op, [trace.name(operand) for operand in step.reads], attributes, rescales)

    return rule


def lookup(trace: Tracer, step: Step, table: Array, x: str | None = None, output: str | None = None) -> str:
    """Adds a lookup in a table of 256 codes, which is ordered by bit pattern."""
    source = trace.name(step.operand(0)) if x is None else x
    name = trace.constant(f"{output or step.writes[0].name}/table", table)
    return trace.emit(step, "lookup", [source, name], output=output)


def leaky_relu(trace: Tracer, step: Step) -> None:
    """Adds a table for the two multipliers of a LeakyRelu."""
    lookup(trace, step, leaky_table(step))


def sigmoid(trace: Tracer, step: Step) -> None:
    """Adds a table for a Sigmoid."""
    lookup(trace, step, sigmoid_table(step.codes(0), step.result))


def concat_codes(trace: Tracer, step: Step) -> None:
    """Adds a join of parts, each of which a table rescales where its scale is another one."""
    tables, parts = part_tables(step), list[str]()
    alone = len(tables) == 1
    for index, (operand, table) in enumerate(zip(step.reads, tables, strict=True)):
        name, array = trace.name(operand), trace.values(operand)
        if table is None:
            parts.append(name)
        elif alone:
            lookup(trace, step, table)
            return
        else:
            part = f"{step.writes[0].name}/part{index}"
            trace.tensors[part] = Tensor(part, array.dtype, array.shape, step.writes[0].params)
            parts.append(lookup(trace, step, table, name, part))
    if alone:
        trace.emit(step, "reshape", parts)
    else:
        trace.emit(step, "concat", parts, {"axis": step.geometry.integer("axis") % trace.values(step.operand(0)).ndim})


def concat(trace: Tracer, step: Step) -> None:
    """Adds a join of parts that have one scale."""
    parts = [trace.name(operand) for operand in step.reads]
    trace.emit(step, "concat", parts, {"axis": step.geometry.integer("axis") % trace.values(step.writes[0]).ndim})


def softmax(trace: Tracer, step: Step) -> None:
    """Adds a Softmax with its table of exponentials."""
    array = trace.values(step.operand(0))
    axis = step.geometry.integer("axis", -1) % array.ndim
    table = exponentials(float(step.codes(0).scale), array.shape[axis]).view(np.uint32)
    name = trace.constant(f"{step.writes[0].name}/exponentials", table)
    steps = int(np.floor(np.float32(1) / step.result.scale))
    attributes: dict[str, Attribute] = {"axis": axis, "steps": steps, "y_zero_point": step.result.zero}
    trace.emit(step, "softmax", [trace.name(step.operand(0)), name], attributes)


def global_average(trace: Tracer, step: Step) -> None:
    """Adds the mean of each map, as a sum with one rescaling."""
    multiplier = multiplier_of_mean(step, int(np.prod(trace.values(step.operand(0)).shape[2:])))
    attributes: dict[str, Attribute] = {"x_zero_point": step.codes(0).zero, "y_zero_point": step.result.zero}
    trace.emit(step, "global_average", [trace.name(step.operand(0))], attributes, (Rescale.of(multiplier),))


def pool(op: str) -> Callable[[Tracer, Step], None]:
    """Returns the rule that adds the greatest or the mean of windows."""

    def rule(trace: Tracer, step: Step) -> None:
        kernel = list(step.geometry.integers("kernel_shape"))
        window = Window.of(step.geometry, kernel, trace.values(step.operand(0)).shape[2:], pool=True)
        attributes: dict[str, Attribute] = {
            "kernel": kernel, "strides": list(window.strides), "dilations": list(window.dilations), "pads": list(window.before),
        }  # fmt: skip
        if op == "average_pool":
            attributes["x_zero_point"] = step.codes(0).zero
            attributes["counts_padding"] = step.geometry.integer("count_include_pad", 0)
        trace.emit(step, op, [trace.name(step.operand(0))], attributes)

    return rule

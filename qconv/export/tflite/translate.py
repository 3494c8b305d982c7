"""`tflite_model`: an integer model as TFLite, with signed codes (Z - 128) and channels last.

Tensors of four axes that a convolution or a pool makes lie as [N, H, W, C]; all others as in ONNX. A Transpose is written only
where one meets the other and more than one place of the picture is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import tflite

from qconv.errors import FloatNodesError
from qconv.integer.execution.executor import Executor
from qconv.integer.language.multipliers import constant
from qconv.integer.language.operands import layout_of
from qconv.integer.program import Operand, Program, Step
from qconv.quant.types import INT8, QuantParams

from .writer import Array, Writer, options

_ULPS = 1e-3  # relative: nudging stays below 2.4e-4
_LAST = (0, 2, 3, 1)  # from [N, C, H, W] to [N, H, W, C]
_FIRST = (0, 3, 1, 2)
_OP = tflite.BuiltinOperator


def tflite_model(model: ir.Model) -> bytes:
    """The file, for one sample. Raises FloatNodesError where a node is in float or has no form in TFLite."""
    return Translation(model).run()


def no_form(step: Step, what: str = "") -> FloatNodesError:
    """Says that a node cannot be had in TFLite."""
    return FloatNodesError(
        f"node {step.name} ({step.op}) has no form in TFLite{what}; use --to c or --to qdq, or leave the node out"
    )


def signed(params: QuantParams) -> QuantParams:
    """The same reals with int8 codes."""
    if params.int_type.signed:
        return params
    return QuantParams(params.scale, params.zero_point.astype(np.int64) - 128, INT8, params.axis)


class Translation:
    """One walk through a program; `numbers` are the tensors so far, `last` tells which lie with channels last."""

    def __init__(self, model: ir.Model) -> None:
        self.model, self.program, self.writer = model, Program.read(model), Writer()
        self.numbers: dict[ir.Value, int] = {}
        self.last: set[ir.Value] = set()
        self.params: dict[ir.Value, QuantParams] = {}
        feeds = {str(v.name): np.zeros([n if isinstance(n, int) else 1 for n in v.shape or ()], v.dtype.numpy())
                 for v in model.graph.inputs if v.dtype is not None}  # fmt: skip
        self.arrays = Executor(model).run(feeds)
        self.arrays |= {n: v.const_value.numpy() for n, v in model.graph.initializers.items() if v.const_value is not None}

    def run(self) -> bytes:
        """The file."""
        from .rules import RULES

        inputs, outputs = list[int](), list[int]()
        for operand in self.program.inputs:
            if operand.params is not None:
                inputs.append(self._input(operand.value, operand.params, operand.name))
        for step in self.program.steps:
            source, result = step.node.inputs[0] if step.node.inputs else None, step.node.outputs[0]
            if step.op == "QuantizeLinear" and source is not None and source.is_graph_input():
                params = step.writes[0].params
                if params is None or params.axis is not None:
                    raise no_form(step, " with a scale for each channel (quantize with --effort none)")
                inputs.append(self._input(result, params, str(source.name)))
            elif step.op == "DequantizeLinear" and result.is_graph_output() and source is not None:
                scale = constant(step.node, 1)
                if scale is None or scale.size != 1:
                    raise no_form(step, " with a scale for each channel (quantize with --effort none)")
                outputs.append(self.numbers[source])
            elif step.op in RULES:
                RULES[step.op](self, step)
            elif result in self._dynamic():
                raise no_form(step)
        outputs += [self.numbers[value] for value in self.model.graph.outputs if value in self.numbers]
        return self.writer.finish(inputs, list(dict.fromkeys(outputs)), f"made by qconv {self.program.origin.version}")

    def array(self, value: ir.Value | None) -> Array:
        """The values of a constant, or of a tensor in a run on zeros, for its shape."""
        assert value is not None
        return self.arrays[str(value.name)]

    def read(self, operand: Operand | ir.Value, *, last: bool) -> int:
        """The tensor of an operand, with its channels last or as in ONNX, and with the scale that its reader has for it."""
        value = operand.value if isinstance(operand, Operand) else operand
        number = self.numbers[value]
        if isinstance(operand, Operand) and operand.params is not None and not _alike(operand.params, self.params[value]):
            own = signed(operand.params)
            number = self.reshape(number, self.writer.shape(number), f"{value.name}/read", own)  # the same codes, other reals
        rank = len(self.writer.shape(number))
        if rank != 4 or (value in self.last) == last:
            return number
        order = _LAST if last else _FIRST
        shape = tuple(self.writer.shape(number)[axis] for axis in order)
        name = f"{value.name}/{'last' if last else 'first'}"
        if sum(size > 1 for size in self.writer.shape(number)[1:]) <= 1:
            return self.reshape(number, shape, name, self.params[value])
        turned = self.writer.tensor(name, shape, self.params[value])
        axes = self.writer.constant(f"{name}/axes", np.asarray(order, np.int32))
        return self.writer.operator(_OP.TRANSPOSE, 2, [number, axes], turned, options("TransposeOptions"))

    def reshape(self, number: int, shape: Sequence[int], name: str, params: QuantParams) -> int:
        """The same elements in another shape."""
        target = self.writer.tensor(name, shape, params)
        sizes = self.writer.constant(f"{name}/shape", np.asarray(shape, np.int32))
        return self.writer.operator(
            _OP.RESHAPE, 1, [number, sizes], target, options("ReshapeOptions", NewShape=[int(n) for n in shape])
        )

    def result(self, step: Step, *, last: bool, params: QuantParams | None = None, name: str = "") -> int:
        """A new tensor for what a step writes; under a `name` a step on the way, which is not yet the output."""
        value, found = step.node.outputs[0], params or self.own(step)
        if found is None:
            raise no_form(step, " on integers without a scale")
        shape = self.array(value).shape
        if last and len(shape) == 4:
            shape = tuple(shape[axis] for axis in _LAST)
        number = self.writer.tensor(f"{value.name}/{name}" if name else str(value.name), shape, signed(found))
        if not name:
            self.keep(value, number, signed(found), last=last)
        return number

    def own(self, step: Step) -> QuantParams | None:
        """What the node itself has for its output: one scale, also where channels have factors that its weights carry."""
        layout = layout_of(step.node)
        found = step.writes[0].params if step.writes else None
        if layout is None or found is None:
            return found
        scale, zero_point = (constant(step.node, index) for index in (layout.writes.scale, layout.writes.zero_point))
        if scale is None or zero_point is None or scale.size != 1:
            raise no_form(step, " with a scale for each channel of an activation")
        return QuantParams(scale.reshape(()), zero_point.reshape(()), found.int_type)

    def keep(self, value: ir.Value, number: int, params: QuantParams, *, last: bool) -> None:
        """Lets a tensor stand for a value."""
        self.numbers[value], self.params[value] = number, params
        if last and len(self.writer.shape(number)) == 4:
            self.last.add(value)

    def quantize(self, number: int, target: int) -> int:
        """Codes under one scale as codes under another."""
        return self.writer.operator(_OP.QUANTIZE, 2, [number], target, options("QuantizeOptions"))

    def _input(self, value: ir.Value, params: QuantParams, name: str) -> int:
        shape = self.array(value).shape
        last = len(shape) == 4
        number = self.writer.tensor(name, tuple(shape[axis] for axis in _LAST) if last else shape, signed(params))
        self.keep(value, number, signed(params), last=last)
        return number

    def _dynamic(self) -> set[ir.Value]:
        """The values that depend on the data: all that a step makes from a tensor."""
        found = {*self.numbers, *self.model.graph.inputs}
        for step in self.program.steps:
            if any(read.value in found for read in step.reads):
                found.update(step.node.outputs)
        return found


def _alike(own: QuantParams, kept: QuantParams) -> bool:
    """Whether a reader has the scale of its tensor, but for the ulps that certification adds."""
    mine = signed(own)
    same = np.abs(mine.scale - kept.scale) <= _ULPS * kept.scale
    return bool(np.all(same)) and bool(np.all(mine.zero_point == kept.zero_point))


def integers(array: Any) -> list[int]:
    """Numbers of a shape or of attributes."""
    return [int(number) for number in np.asarray(array).reshape(-1)]

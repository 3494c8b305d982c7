"""An integer program as TFLite, with signed codes (Z - 128) and channels last.

Tensors of four axes that a convolution or a pool makes lie as [N, H, W, C]; all others as in ONNX. A Transpose is written only
where one meets the other and more than one place of the picture is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import tflite

from qconv.errors import FloatNodesError
from qconv.export.dependence import depends_on_data
from qconv.export.tracer import arrays_of
from qconv.integer.program import Program
from qconv.integer.step import Operand, Step
from qconv.model.graph import is_float
from qconv.model.traits import Trait
from qconv.quant.types import INT8, QuantParams

from .writer import Array, Writer, options

LAST = (0, 2, 3, 1)  # from [N, C, H, W] to [N, H, W, C]
FIRST = (0, 3, 1, 2)
OP = tflite.BuiltinOperator


def no_form(step: Step, what: str = "") -> FloatNodesError:
    """Says that a node cannot be had in TFLite."""
    remedy = "use --to qdq, or --to c if it has the operator, or leave the node out"
    return FloatNodesError(f"node {step.name} ({step.op}) has no form in TFLite{what}; {remedy}")


def signed(params: QuantParams) -> QuantParams:
    """The same reals with int8 codes."""
    if params.int_type.signed:
        return params
    return QuantParams(params.scale, params.zero_point.astype(np.int64) - 128, INT8, params.axis)


Rule = Callable[["Translation", Step], None]


class Translation:
    """One walk through a program; `numbers` are the tensors so far, `last` tells which of them have their channels last.

    `inputs` and `outputs` are the tensors of the integer model that are those of the file, in order.
    """

    def __init__(self, program: Program, rules: Mapping[str, Rule]) -> None:
        self._rules = rules
        self.program, self.writer, self.readers = program, Writer(), program.readers
        self.numbers: dict[ir.Value, int] = {}
        self.last: set[ir.Value] = set()
        self.meanings = {write.value: write.params for step in self.program.steps for write in step.writes}
        self.passed: set[ir.Value] = set()  # that have no tensor, as what they lead to is made at once
        self.inputs: list[ir.Value] = []
        self.outputs: list[ir.Value] = []
        self.params: dict[ir.Value, QuantParams | None] = {}  # None for a tensor of numbers
        self.arrays = arrays_of(program)

    def run(self, *, everything: bool = False) -> bytes:
        """The file; with `everything`, each tensor of the integer model that has one in the file is an output of it."""
        dynamic = depends_on_data(self.program)
        for operand in self.program.inputs:
            if operand.value.dtype != ir.DataType.FLOAT:
                self._input(operand.value, operand.params, operand.name)
        for step in self.program.steps:
            if any(value in dynamic and value not in self.passed for value in (write.value for write in step.writes)):
                self._step(step)
        self.outputs += [output.value for output in self.program.outputs if output.value in self.numbers]
        for value in self.outputs:
            self.keep(value, self.read(value, last=True), self.params[value], last=True)
        if everything:
            self.outputs = [value for value in self.numbers if value not in self.inputs]
        self.outputs = list({self.numbers[value]: value for value in self.outputs}.values())
        inputs, outputs = ([self.numbers[value] for value in values] for values in (self.inputs, self.outputs))
        return self.writer.finish(inputs, outputs, f"made by qconv {self.program.origin.version}")

    def _step(self, step: Step) -> None:
        source, result = step.operands[0].value if step.reads and step.operands[0] is not None else None, step.writes[0].value
        if step.traits & Trait.QUANTIZES and source is not None and source.is_graph_input():
            params = step.writes[0].params
            if params is None or params.axis is not None:
                raise no_form(step, " with a scale for each channel (quantize with --effort none)")
            self._input(result, params, str(source.name))
        elif step.traits & Trait.DEQUANTIZES and source is not None:
            scale = step.operand(1).constant
            if scale is None or scale.size != 1:
                raise no_form(step, " with a scale for each channel (quantize with --effort none)")
            self.outputs.append(source)
        elif is_float(result) and step.traits & (Trait.MOVES | Trait.RESHAPES | Trait.JOINS):
            pass  # whoever runs the network moves reals at its ends
        elif (rule := self._rules.get(step.op)) is not None:
            rule(self, step)
        else:
            raise no_form(step)

    def array(self, value: ir.Value) -> Array:
        """The values of a constant, or of a tensor in a run on zeros, for its shape."""
        return self.arrays[str(value.name)]

    def codes(self, value: ir.Value) -> QuantParams:
        """What the codes of a tensor of codes stand for."""
        found = self.params[value]
        assert found is not None
        return found

    def read(self, operand: Operand | ir.Value, *, last: bool) -> int:
        """The tensor of an operand, with its channels last or as in ONNX, and with the scale that its reader has for it."""
        value = operand.value if isinstance(operand, Operand) else operand
        number, kept = self.numbers[value], self.params[value]
        if isinstance(operand, Operand) and operand.params is not None and kept is not None and not _alike(operand.params, kept):
            target = self.writer.tensor(f"{value.name}/read", self.writer.shape(number), signed(operand.params))
            number = self.reshape(number, target)  # the same codes, other reals
        rank = len(self.writer.shape(number))
        if rank != 4 or (value in self.last) == last:
            return number
        order = LAST if last else FIRST
        turned = self.writer.alike(
            number, f"{value.name}/{'last' if last else 'first'}", [self.writer.shape(number)[axis] for axis in order]
        )
        if sum(size > 1 for size in self.writer.shape(number)[1:]) <= 1:
            return self.reshape(number, turned)
        axes = self.writer.constant(f"{value.name}/axes", np.asarray(order, np.int32))
        return self.writer.operator(OP.TRANSPOSE, 2, [number, axes], turned, options("TransposeOptions"))

    def operand(self, step: Step, index: int, *, last: bool) -> int:
        """The tensor of an operand that may be a constant, laid as the others are."""
        operand = step.operand(index)
        if operand.value in self.numbers:
            return self.read(operand, last=last)
        array, params = self.array(operand.value), operand.params
        if array.dtype == np.uint8 and params is None:
            params = next((self.params[read.value] for read in step.reads if read.value in self.numbers), None)
        array = as_signed(array)
        if last and array.ndim > 1:
            array = array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(LAST)
        return self.writer.constant(str(operand.name), array, None if params is None else signed(params))

    def reshape(self, number: int, target: int) -> int:
        """The same elements in the shape of another tensor."""
        sizes = list(self.writer.shape(target))
        given = self.writer.constant(f"{self.writer.name(target)}/shape", np.asarray(sizes, np.int32))
        return self.writer.operator(OP.RESHAPE, 1, [number, given], target, options("ReshapeOptions", NewShape=sizes))

    def result(self, step: Step, *, last: bool, params: QuantParams | None = None, name: str = "") -> int:
        """A new tensor for what a step writes; under a `name` a step on the way, which is not yet the output."""
        value, found = step.writes[0].value, params or self.own(step)
        array = self.array(value)
        if array.dtype.kind == "f":
            raise no_form(step, " on reals")
        shape = tuple(array.shape[axis] for axis in LAST) if last and array.ndim == 4 else array.shape
        kept, kind = None if found is None else signed(found), "int8" if array.dtype == np.uint8 else array.dtype.name
        number = self.writer.tensor(f"{value.name}/{name}" if name else str(value.name), shape, kept, kind)
        if not name:
            self.keep(value, number, kept, last=last)
        return number

    def own(self, step: Step) -> QuantParams | None:
        """What the node itself has for its output: one scale, also where channels have factors that its weights carry."""
        return step.own or step.writes[0].params

    def keep(self, value: ir.Value, number: int, params: QuantParams | None, *, last: bool) -> None:
        """Lets a tensor stand for a value."""
        self.numbers[value], self.params[value] = number, params
        if last and len(self.writer.shape(number)) == 4:
            self.last.add(value)

    def scaled(self, number: int, target: int, name: str, factor: float = 1.0) -> int:
        """The reals of codes times a factor, as codes under another scale: a product, which LiteRT rounds as onnxruntime does.

        Its QUANTIZE has a multiplier of eight bits behind the point in XNNPACK, and so has its LEAKY_RELU.
        """
        one = QuantParams(np.asarray(factor, np.float32), np.asarray(0), INT8)
        constant = self.writer.constant(f"{name}/factor", np.asarray([1], np.int8), one)
        return self.writer.operator(OP.MUL, 2, [number, constant], target, options("MulOptions"))

    def _input(self, value: ir.Value, params: QuantParams | None, name: str) -> None:
        array = self.array(value)
        last = array.ndim == 4
        shape = tuple(array.shape[axis] for axis in LAST) if last else array.shape
        kept, kind = (None, array.dtype.name) if params is None else (signed(params), signed(params).int_type.dtype.name)
        self.keep(value, self.writer.tensor(name, shape, kept, kind), kept, last=last)
        self.inputs.append(value)


def _alike(own: QuantParams, kept: QuantParams) -> bool:
    """Whether a reader has the scale of its tensor, without the ulps that certification adds.

    What a reader knows of the scales of channels stands in its weights, and one scale for all of them in its node.
    """
    mine = signed(own)
    return own.axis is not None or (bool(np.all(mine.scale == kept.scale)) and bool(np.all(mine.zero_point == kept.zero_point)))


def as_signed(codes: Array) -> Array:
    """The codes of int8 that stand for codes of uint8; everything else as it is."""
    return (codes.astype(np.int16) - 128).astype(np.int8) if codes.dtype == np.uint8 else codes


def integers(array: Any) -> list[int]:
    """Numbers of a shape or of attributes."""
    return [int(number) for number in np.asarray(array).reshape(-1)]

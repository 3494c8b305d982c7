"""The executor: an integer program computed in exact integer arithmetic over (M0, n), to judge what onnxruntime computes.

It shares no code with the stage that made the program except `quant.fixedpoint`. Results equal onnxruntime's on every element of
every tensor where the scales are certified. One kernel is float inside on purpose: QLinearSoftmax (kernels/softmax.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir

from qconv.errors import ModelError
from qconv.integer.execution.arrays import Array
from qconv.integer.execution.kernels import compute, is_computable
from qconv.integer.program import Program
from qconv.integer.step import Operand, Step


class Executor:
    """Computes the tensors of one program, whose steps are in topological order."""

    def __init__(self, program: Program) -> None:
        self._program = program

    @property
    def foreign(self) -> tuple[Step, ...]:
        """The steps that are not computed here: those in float, and operators outside the language. `run` takes their outputs."""
        return tuple(step for step in self._program.steps if not is_computable(step))

    def run(self, feeds: Mapping[str, Array], given: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """Every tensor that the steps make, by name, and the inputs.

        `given` holds tensors that are taken as they are and not computed, such as the outputs of float islands.
        Raises ModelError for a missing input, and for a step that cannot be computed and whose outputs are not given.
        """
        return {operand.name: array for operand, array in self.stream(feeds, given) if operand.name}

    def stream(self, feeds: Mapping[str, Array], given: Mapping[str, Array] | None = None) -> Iterator[tuple[Operand, Array]]:
        """The same one by one, in the order of the program; a tensor is freed after its last reader.

        `given` is asked for a tensor when its turn comes. What it takes and raises is as for `run`.
        """
        given = given or {}
        values: dict[ir.Value, Array] = {}
        for operand, array in self._fed(feeds):
            values[operand.value] = array
            yield operand, array
        unread = Counter(argument.value for step in self._program.steps for argument in step.arguments if argument is not None)
        for step in self._program.steps:
            for write, array in _made(step, values, given):
                if unread[write.value]:
                    values[write.value] = array
                yield write, array
            _free(step, values, unread)

    def _fed(self, feeds: Mapping[str, Array]) -> Iterator[tuple[Operand, Array]]:
        for operand in self._program.inputs:
            if operand.name in feeds:
                yield operand, np.asarray(feeds[operand.name])
            elif operand.value.const_value is None:
                raise ModelError(f"the input {operand.name!r} is missing: give an array of that name")


def _made(step: Step, values: Mapping[ir.Value, Array], given: Mapping[str, Array]) -> list[tuple[Operand, Array]]:
    writes = [write for write in step.writes if write.name]
    if all(write.name in given for write in writes):
        return [(write, given[write.name]) for write in writes]
    arrays = compute(step, [None if argument is None else _array(argument, values) for argument in step.arguments])
    return list(zip(step.writes, arrays, strict=False))


def _free(step: Step, values: dict[ir.Value, Array], unread: Counter[ir.Value]) -> None:
    """Drops the tensors that nothing reads after `step`."""
    for argument in step.arguments:
        if argument is not None:
            unread[argument.value] -= 1
            if not unread[argument.value]:
                values.pop(argument.value, None)


def _array(operand: Operand, values: Mapping[ir.Value, Array]) -> Array:
    if operand.value in values:
        return values[operand.value]
    if operand.value.const_value is None:
        raise ModelError(f"tensor {operand.name!r} is used before it is made: sort the graph")
    return operand.value.const_value.numpy()

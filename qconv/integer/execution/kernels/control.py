"""Scan: a body that is computed step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from qconv.integer.execution.arrays import Array, Operands, required
from qconv.integer.step import Body, Operand, Step

Compute = Callable[[Step, Operands], list[Array]]


def scan(compute: Compute) -> Compute:
    """Makes the kernel of a Scan whose body has steps that `compute` computes. It scans along the first axis."""

    def kernel(step: Step, inputs: Operands) -> list[Array]:
        body, count = step.bodies["body"], step.geometry.integer("num_scan_inputs")
        arrays = [required(inputs, i) for i in range(len(inputs))]
        states, scanned = arrays[: len(arrays) - count], arrays[len(arrays) - count :]
        back = [bool(way) for way in step.geometry.integers("scan_input_directions", [0] * count)]
        results: list[list[Array]] = []
        for number in range(len(scanned[0])):
            parts = [array[-1 - number if way else number] for array, way in zip(scanned, back, strict=True)]
            values = run_once(body, [*states, *parts], compute)
            found = [_array(output, values) for output in body.outputs]
            states = found[: len(states)]
            results.append(found[len(states) :])
        rows = [np.stack(made) for made in zip(*results, strict=True)]
        ways = step.geometry.integers("scan_output_directions", [0] * len(rows))
        return [*states, *(np.ascontiguousarray(row[::-1]) if way else row for row, way in zip(rows, ways, strict=True))]

    return kernel


def run_once(body: Body, given: Sequence[Array], compute: Compute) -> dict[ir.Value, Array]:
    """All tensors of a body for the values of its inputs."""
    values: dict[ir.Value, Array] = dict(zip((operand.value for operand in body.inputs), given, strict=True))
    for step in body.steps:
        arrays = [None if operand is None else _array(operand, values) for operand in step.arguments]
        values.update(zip((write.value for write in step.writes), compute(step, arrays), strict=False))
    return values


def _array(operand: Operand, values: Mapping[ir.Value, Array]) -> Array:
    if operand.value in values:
        return values[operand.value]
    if operand.constant is None:
        raise ValueError(f"the body of a Scan reads {operand.name!r} from outside, which is no constant")
    return operand.constant

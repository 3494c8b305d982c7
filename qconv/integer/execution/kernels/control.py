"""Scan: a body that is computed step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from qconv.integer.execution.arrays import Array, Operands, required

RunNode = Callable[[ir.Node, Operands], list[Array]]


def scan(run_node: RunNode) -> RunNode:
    """Makes the kernel of a Scan whose body has nodes that `run_node` computes. It scans along the first axis."""

    def kernel(node: ir.Node, inputs: Operands) -> list[Array]:
        body, count = node.attributes["body"].as_graph(), node.attributes.get_int("num_scan_inputs")
        arrays = [required(inputs, i) for i in range(len(inputs))]
        states, scanned = arrays[: len(arrays) - count], arrays[len(arrays) - count :]
        back = [bool(way) for way in node.attributes.get_ints("scan_input_directions", [0] * count)]
        results: list[list[Array]] = []
        for step in range(len(scanned[0])):
            parts = [array[-1 - step if way else step] for array, way in zip(scanned, back, strict=True)]
            found = _run(body, [*states, *parts], run_node)
            states = found[: len(states)]
            results.append(found[len(states) :])
        rows = [np.stack(step_results) for step_results in zip(*results, strict=True)]
        ways = node.attributes.get_ints("scan_output_directions", [0] * len(rows))
        return [*states, *(np.ascontiguousarray(row[::-1]) if way else row for row, way in zip(rows, ways, strict=True))]

    return kernel


def _run(body: ir.Graph, given: Sequence[Array], run_node: RunNode) -> list[Array]:
    values: dict[ir.Value, Array] = dict(zip(body.inputs, given, strict=True))
    for node in body:
        arrays = [None if value is None else _array(value, values) for value in node.inputs]
        values.update(zip(node.outputs, run_node(node, arrays), strict=False))
    return [values[value] for value in body.outputs]


def _array(value: ir.Value, values: Mapping[ir.Value, Array]) -> Array:
    if value in values:
        return values[value]
    if value.const_value is None:
        raise ValueError(f"the body of a Scan reads {value.name!r} from outside, which is no constant")
    return value.const_value.numpy()

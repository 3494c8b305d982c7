"""Scan: a body that runs once for each step of a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qconv.errors import FloatNodesError
from qconv.export.dependence import depends_on_data
from qconv.export.network import Array, Node, Repeated, Row, State, Tensor
from qconv.export.tracer import Tracer
from qconv.integer.execution.kernels import compute
from qconv.integer.execution.kernels.control import run_once
from qconv.integer.step import Body, Step


def scan(trace: Tracer, step: Step) -> None:
    """Adds a node whose body has the steps of one round; what it is given comes first in that body, states, then rows."""
    body, count = step.bodies["body"], step.geometry.integer("num_scan_inputs")
    states = len(step.reads) - count
    given = [trace.values(operand) for operand in step.reads]
    inner = _of_a_round(trace, body, [*given[:states], *(array[0] for array in given[states:])])
    inputs = [trace.name(operand) for operand in step.reads]
    rounds = len(given[states])
    before = [inner.add(operand) for operand in body.inputs]
    for inside in body.steps:
        if any(write.value in inner.dynamic for write in inside.writes):
            inner.step(inside)
    after = [inner.name(operand) for operand in body.outputs]
    makes = [trace.add(write) if write.name else _unnamed(trace, inner, step, i, rounds) for i, write in enumerate(step.writes)]
    back = _ways(step, "scan_input_directions", count)
    repeated = Repeated(
        rounds,
        tuple(map(State, inputs[:states], before[:states], after[:states], makes[:states])),
        tuple(map(Row, inputs[states:], before[states:], back)),
        tuple(inner.nodes),
        tuple(map(Row, makes[states:], after[states:], _ways(step, "scan_output_directions", len(makes) - states))),
    )
    trace.nodes.append(Node(step.name, "repeat", tuple(inputs), makes[0], body=repeated))


def _of_a_round(trace: Tracer, body: Body, given: Sequence[Array]) -> Tracer:
    """A tracer for the body, with the values of its first round; its tensors are those of the network."""
    values = {value.name or "": array for value, array in run_once(body, given, compute).items()}
    taken = [name for name in values if name in trace.tensors]
    if taken:
        raise FloatNodesError(
            f"two subgraphs have a tensor of the name {taken[0]}; give each a name of its own before it is quantized"
        )
    read = [operand for step in body.steps for operand in step.arguments if operand is not None]
    constants = {operand.name: operand.constant for operand in (*read, *body.outputs)}
    arrays = values | {name: array for name, array in constants.items() if array is not None}
    return replace(trace, nodes=[], arrays=arrays, dynamic=depends_on_data(body))


def _unnamed(trace: Tracer, inner: Tracer, step: Step, place: int, rounds: int) -> str:
    """A tensor for a result that is left out."""
    name, row = f"{step.name}/unread{place}", inner.values(step.bodies["body"].outputs[place])
    whole = place >= len(step.reads) - step.geometry.integer("num_scan_inputs")
    trace.tensors[name] = Tensor(name, row.dtype, (rounds, *row.shape) if whole else row.shape)
    return name


def _ways(step: Step, key: str, count: int) -> list[bool]:
    return [bool(way) for way in step.geometry.integers(key, [0] * count)]

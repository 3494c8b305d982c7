"""The executor: an integer graph computed in exact integer arithmetic over (M0, n), to judge what onnxruntime computes.

It shares no code with the stage that made the graph except `quant.fixedpoint`. Results equal onnxruntime's on every element of
every tensor where the scales are certified. One kernel is float inside on purpose: QLinearSoftmax (kernels/softmax.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir

from qconv.errors import ModelError
from qconv.integer.execution.arrays import Array, Operands
from qconv.integer.execution.kernels import FLOAT_TOLERANT, KERNELS
from qconv.integer.language.audit import Types, float_tensor


class Executor:
    """Computes the tensors of one integer graph; nodes in topological order, constants in initializers."""

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._nodes = list(model.graph)
        types: Types = {}
        self._foreign = frozenset(node for node in self._nodes if not _computable(node, types))

    @property
    def foreign(self) -> tuple[ir.Node, ...]:
        """The nodes that are not computed here: those in float, and operators outside the language. `run` takes their outputs."""
        return tuple(node for node in self._nodes if node in self._foreign)

    def run(self, feeds: Mapping[str, Array], given: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """Every tensor that the nodes make, by name, and the inputs.

        `given` holds tensors that are taken as they are and not computed, such as the outputs of float islands.
        Raises ModelError for a missing input, and for a node that cannot be computed and whose outputs are not given.
        """
        return {str(value.name): array for value, array in self.stream(feeds, given) if value.name}

    def stream(self, feeds: Mapping[str, Array], given: Mapping[str, Array] | None = None) -> Iterator[tuple[ir.Value, Array]]:
        """The same one by one, in the order of the graph; a tensor is freed after its last reader.

        `given` is asked for a tensor when its turn comes. What it takes and raises is as for `run`.
        """
        given = given or {}
        values = self._fed(feeds)
        yield from values.items()
        unread = Counter(value for node in self._nodes for value in node.inputs if value is not None)
        for node in self._nodes:
            outputs = [value for value in node.outputs if value.name]
            if all(str(value.name) in given for value in outputs):
                made = {value: given[str(value.name)] for value in outputs}
            else:
                arrays = self.run_node(node, [None if value is None else _array(value, values) for value in node.inputs])
                made = dict(zip(node.outputs, arrays, strict=False))
            yield from made.items()
            values.update((value, array) for value, array in made.items() if unread[value])
            _free(node, values, unread)

    def _fed(self, feeds: Mapping[str, Array]) -> dict[ir.Value, Array]:
        values: dict[ir.Value, Array] = {}
        for value in self._graph.inputs:
            if value.name in feeds:
                values[value] = np.asarray(feeds[str(value.name)])
            elif value.const_value is None:
                raise ModelError(f"the input {value.name!r} is missing: give an array of that name")
        return values

    def run_node(self, node: ir.Node, inputs: Operands) -> list[Array]:
        """The outputs of a single node; raises ModelError for one that is not computed in integers."""
        kernel = KERNELS.get((node.domain, node.op_type))
        if kernel is None or node in self._foreign:
            raise ModelError(f"node {node.name!r} ({node.op_type}) is outside the integer language: its outputs must be given")
        try:
            return kernel(node, inputs)
        except ValueError as error:
            raise ModelError(f"node {node.name!r} ({node.op_type}) cannot be computed in integers: {error}") from error


def _computable(node: ir.Node, types: Types) -> bool:
    if (node.domain, node.op_type) not in KERNELS:
        return False
    return node.op_type in FLOAT_TOLERANT or float_tensor(node, types) is None


def _free(node: ir.Node, values: dict[ir.Value, Array], unread: Counter[ir.Value]) -> None:
    """Drops the tensors that nothing reads after `node`."""
    for value in node.inputs:
        if value is not None:
            unread[value] -= 1
            if not unread[value]:
                values.pop(value, None)


def _array(value: ir.Value, values: Mapping[ir.Value, Array]) -> Array:
    if value in values:
        return values[value]
    if value.const_value is None:
        raise ModelError(f"tensor {value.name!r} is used before it is made: sort the graph")
    return value.const_value.numpy()

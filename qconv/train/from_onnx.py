"""A prepared ONNX graph as a module of torch, for those who have no source: the same function, ready for `prepare`.

Layers become modules whose names are those of their nodes, with dots written as underscores; everything else are functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import fx, nn

from qconv.errors import ModelError
from qconv.model.graph import attr_int, attr_ints, const_array, is_float
from qconv.model.traits import Trait, has_trait

from .onnx_functions import FUNCTIONS
from .onnx_moves import item, padded
from .phases import phases_of
from .sizes import shape_call, shape_of, size_call

Values = dict[ir.Value, Any]
_CONVOLUTIONS = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}


def from_onnx(graph: ir.Graph) -> fx.GraphModule:
    """The graph as a module whose inputs come in the order of the graph.

    Raises ModelError for an operator, or a form of one, that has no counterpart here; training by torch's own source is the way
    then.
    """
    return _Builder(graph).build()


class _Builder:
    """One walk through a graph; `values` holds what stands for each tensor."""

    def __init__(self, graph: ir.Graph) -> None:
        self._source, self._root, self._graph = graph, nn.Module(), fx.Graph()
        self._values: Values = {}
        self._sizes: set[ir.Value] = set()  # lists of numbers, and numbers

    def build(self) -> fx.GraphModule:
        """The finished module."""
        for value in self._source.inputs:
            if const_array(value) is None:
                self._put(value, self._graph.placeholder(_identifier(str(value.name))))
        for node in self._source:
            self._node(node)
        results = tuple(self._values[value] for value in self._source.outputs)
        self._graph.output(results[0] if len(results) == 1 else results)
        return fx.GraphModule(self._root, self._graph)

    def _node(self, node: ir.Node) -> None:
        if node.op_type in _LAYERS:
            self._layer(node, _LAYERS[node.op_type](node))
            return
        if node.op_type == "ConvTranspose":
            self._phases(node)
            return
        if node.op_type == "Shape":
            self._put(node.outputs[0], self._graph.call_function(shape_of, (self._operand(node.inputs[0]), *shape_call(node))))
            self._sizes.add(node.outputs[0])
            return
        if self._is_of_sizes(node):
            self._size(node)
            return
        rule = FUNCTIONS.get(node.op_type)
        if has_trait(node, Trait.RECURS):
            raise ModelError(
                f"node {node.name} ({node.op_type}) is recurrent, and training does not simulate its steps; `qconv quantize` "
                "makes it integer without training"
            )
        if rule is None or node.domain not in ("", "ai.onnx"):
            raise ModelError(
                f"node {node.name} ({node.op_type}) has no counterpart in torch here; train the network from its source"
            )
        function, arguments, named = rule(node)
        inputs = tuple(self._operand(value) if isinstance(value, ir.Value) else value for value in arguments)
        inputs = tuple([self._operand(x) for x in value] if isinstance(value, list) and value and isinstance(value[0], ir.Value)
                       else value for value in inputs)  # fmt: skip
        result = self._graph.call_function(function, inputs, named)
        if len(node.outputs) == 1:
            self._put(node.outputs[0], result)
            return
        for index, output in enumerate(node.outputs):
            self._put(output, self._graph.call_function(item, (result, index)))

    def _layer(self, node: ir.Node, module: nn.Module) -> None:
        name = module_name(node)
        module.op_type = node.op_type
        self._root.add_module(name, module)
        x = self._operand(node.inputs[0])
        if _uneven(node):
            x = self._graph.call_function(padded, (x, attr_ints(node, "pads", []), 0.0))
        self._put(node.outputs[0], self._graph.call_module(name, (x,)))

    def _phases(self, node: ir.Node) -> None:
        """A transposed convolution by phases, which are what is rounded."""
        made, name = phases_of(node), f"{module_name(node)}_phases"
        made.phases.op_type = node.op_type  # what rules may call it by
        self._root.add_module(name, made.phases)
        result = self._graph.call_module(name, (self._operand(node.inputs[0]),))
        result.meta["tensor"] = str(node.outputs[0].name)
        self._put(node.outputs[0], made.placed(result))

    def _is_of_sizes(self, node: ir.Node) -> bool:
        """Whether all that a node reads are sizes and constants, so that it gives sizes, or numbers up to one."""
        read = [value for value in node.inputs if value is not None]
        known = all(value in self._sizes or const_array(value) is not None for value in read)
        return known and any(value in self._sizes for value in read) and not any(map(is_float, read))

    def _size(self, node: ir.Node) -> None:
        function, gives_sizes = size_call(node)
        result = self._graph.call_function(function, tuple(self._size_operand(value) for value in node.inputs))
        self._put(node.outputs[0], result)
        if gives_sizes:
            self._sizes.add(node.outputs[0])

    def _size_operand(self, value: ir.Value | None) -> Any:
        array = const_array(value)
        return None if value is None else self._values[value] if array is None else array.tolist()

    def _put(self, value: ir.Value, result: fx.Node) -> None:
        """Says what stands for a tensor, and to what is made of the module which tensor that is."""
        result.meta["tensor"] = str(value.name)
        self._values[value] = result

    def _operand(self, value: ir.Value | None) -> Any:
        if value is None:
            return None
        array = const_array(value)
        if array is None:
            return self._values[value]
        if value not in self._values:
            name = _identifier(f"constant_{value.name}")
            self._root.register_buffer(name, torch.from_numpy(np.array(array)))
            self._values[value] = self._graph.get_attr(name)
        return self._values[value]


def module_name(node: ir.Node) -> str:
    """The name of the module that a layer becomes."""
    return str(node.name).replace(".", "_")


def _uneven(node: ir.Node) -> bool:
    """Whether a convolution pads more on one side, which torch's layers do not: a padding of its own goes before it."""
    pads = attr_ints(node, "pads", [])
    return pads[: len(pads) // 2] != pads[len(pads) // 2 :]


def _identifier(name: str) -> str:
    cleaned = "".join(sign if sign.isalnum() else "_" for sign in name)
    return cleaned if cleaned[:1].isalpha() else f"x_{cleaned}"


def _conv(node: ir.Node) -> nn.Module:
    weight, bias = _weight(node), const_array(node.inputs[2]) if len(node.inputs) > 2 else None
    spatial = weight.ndim - 2
    pads = [] if _uneven(node) else attr_ints(node, "pads", [0] * 2 * spatial)
    groups = attr_int(node, "group", 1)
    layer: Any = _CONVOLUTIONS[weight.ndim](
        weight.shape[1] * groups, weight.shape[0], weight.shape[2:], tuple(attr_ints(node, "strides", [1] * spatial)),
        tuple(pads[:spatial] or [0] * spatial), tuple(attr_ints(node, "dilations", [1] * spatial)), groups, bias is not None,
    )  # fmt: skip
    return _filled(layer, weight, bias)


def _gemm(node: ir.Node) -> nn.Module:
    weight, bias = _weight(node), const_array(node.inputs[2]) if len(node.inputs) > 2 else None
    if attr_int(node, "transA", 0):
        raise ModelError(f"node {node.name} (Gemm) transposes its input; train the network from its source")
    weight = weight if attr_int(node, "transB", 0) else weight.T
    return _filled(nn.Linear(weight.shape[1], weight.shape[0], bias is not None), weight, bias)


def _weight(node: ir.Node) -> Any:
    array = const_array(node.inputs[1])
    if array is None:
        raise ModelError(f"node {node.name} ({node.op_type}) computes its weight; train the network from its source")
    return array


def _filled(layer: Any, weight: Any, bias: Any) -> nn.Module:
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.array(weight)))
        if bias is not None:
            layer.bias.copy_(torch.from_numpy(np.array(bias).reshape(-1)))
    module: nn.Module = layer
    return module


_LAYERS: Mapping[str, Callable[[ir.Node], nn.Module]] = {"Conv": _conv, "Gemm": _gemm}

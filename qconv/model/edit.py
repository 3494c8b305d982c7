"""The few ways in which a pass changes a graph, each of which keeps the names that a person knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.given import hand_on, is_given
from qconv.model.graph import remember_form
from qconv.model.names import Names

Attribute = int | float | str | Sequence[int]


class Editor:
    """Edits one graph; new names never collide and are the same in every run."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self._names = Names(graph)

    def constant(self, wish: str, array: NDArray[np.generic]) -> ir.Value:
        """A new initializer that holds `array`, named `wish` or close to it."""
        name = self._names.fresh(wish)
        tensor = ir.Tensor(array, name=name)
        value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
        self.graph.register_initializer(value)
        return value

    def set_constant(self, node: ir.Node, index: int, array: NDArray[np.generic], wish: str) -> None:
        """Make `array` the constant input `index` of a node; other users of the present constant keep theirs."""
        present = node.inputs[index] if index < len(node.inputs) else None
        if present is not None and self.owns(present):
            present.const_value = ir.Tensor(array, name=present.name)
            present.shape = ir.Shape(array.shape)
            return
        if index >= len(node.inputs):
            node.resize_inputs(index + 1)
        node.replace_input_with(index, self.constant(f"{node.name}/{wish}", array))

    def owns(self, value: ir.Value) -> bool:
        """Whether a value is an initializer that a single input reads, so that it may be changed in place."""
        bound = value.is_graph_output() or value.is_graph_input()
        return value.is_initializer() and value.graph is self.graph and len(value.uses()) == 1 and not bound

    def rewrite(
        self, node: ir.Node, op_type: str, inputs: Sequence[ir.Value | None], attributes: Mapping[str, Attribute] | None = None
    ) -> None:
        """Turn a node into another op in place: its name and its outputs stay, and `written_as` tells what it was."""
        remember_form(node)
        node.op_type = op_type
        node.resize_inputs(len(inputs))
        for index, value in enumerate(inputs):
            node.replace_input_with(index, value)
        node.attributes.clear()
        for name, attribute in (attributes or {}).items():
            set_attribute(node, name, attribute)

    def insert_before(
        self,
        anchor: ir.Node,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Attribute] | None = None,
        *,
        name: str,
        shape: ir.Shape | None = None,
        dtype: ir.DataType = ir.DataType.FLOAT,
        main: bool = False,
    ) -> ir.Value:
        """A new node in front of `anchor`; returns its output of type `dtype`, which is named after the node.

        A `main` node does the anchor's work: it gets the anchor's name, and the anchor the new one.
        """
        output = ir.Value(name=self._names.fresh(f"{name}/output"), type=ir.TensorType(dtype), shape=shape)
        converted = ir.convenience.convert_attributes(dict(attributes or {}))
        node = ir.Node("", op_type, inputs, converted, outputs=[output], name=self._names.fresh_node(name))
        self.graph.insert_before(anchor, node)
        if main:
            node.name, anchor.name = anchor.name, node.name
        return output

    def take_over(self, old: ir.Value, new: ir.Value) -> None:
        """Let all users of `old` read `new`, which gets its name; the node that makes `old` is removed."""
        if new.is_graph_output() or new.producer() is None:
            self.bypass(old, new)
            return
        maker, name = old.producer(), old.name
        assert maker is not None and name is not None
        if old.shape is not None:
            new.shape = old.shape
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        hand_on(old, new)
        self.graph.remove(maker, safe=True)
        new.name = name

    def bypass(self, old: ir.Value, new: ir.Value) -> bool:
        """Let all users of `old` read `new`, which keeps its name; False where only an Identity can stand for `old`."""
        maker = old.producer()
        assert maker is not None
        if not is_given(new):
            hand_on(old, new)
        if not old.is_graph_output():
            old.replace_all_uses_with(new)
            self.graph.remove(maker, safe=True)
            return True
        if not new.is_graph_output() and new.producer() is not None:
            self.take_over(old, new)
            return True
        for user, index in tuple(old.uses()):
            user.replace_input_with(index, new)
        if maker.op_type == "Identity":
            return False
        self.rewrite(maker, "Identity", [new])
        return True

    def remove_unread(self, nodes: Sequence[ir.Node]) -> None:
        """Remove nodes, in the order in which they run, that nothing but each other reads."""
        for node in reversed(nodes):
            self.graph.remove(node, safe=True)


def set_attribute(node: ir.Node, name: str, attribute: Attribute) -> None:
    """Set one attribute of a node."""
    node.attributes[name] = ir.convenience.convert_attribute(name, attribute)


def to_inputs(graph: ir.Graph, names: Sequence[str]) -> dict[str, NDArray[np.generic]]:
    """Makes some constants inputs of a graph; what they held by name."""
    found = dict[str, NDArray[np.generic]]()
    for name in names:
        value = graph.initializers.pop(name)
        assert value.const_value is not None
        found[name] = value.const_value.numpy()
        value.const_value = None
        graph.inputs.append(value)
    return found

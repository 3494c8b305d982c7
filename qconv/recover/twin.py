"""The integer network in float, whose weights can be replaced layer by layer."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.config import QuantConfig
from qconv.model.traits import Trait, has_trait
from qconv.plan.activations import ActivationPlan
from qconv.plan.quant_plan import QuantPlan
from qconv.plan.wide import is_norm
from qconv.quant.types import is_fine
from qconv.ranges.search.fake_quant import insert_codes
from qconv.recover.fit import Weights
from qconv.recover.layers import Layer


class Twin:
    """A copy of a prepared model with the roundings of a plan; `model` may be run, in whole or in stages."""

    def __init__(self, model: ir.Model, plan: QuantPlan, config: QuantConfig) -> None:
        self.model = model.clone()
        _insert_roundings(self.model.graph, plan, config)
        self._nodes = {str(node.name): node for node in self.model.graph}

    def node(self, layer: Layer) -> ir.Node:
        """The node of a layer."""
        return self._nodes[layer.name]

    def source(self, layer: Layer) -> str:
        """The tensor that a layer reads: its codes, or reals that come from codes by moving or selecting them."""
        value = self.node(layer).inputs[0]
        assert value is not None
        producer = value.producer()
        if producer is not None and has_trait(producer, Trait.DEQUANTIZES):
            value = producer.inputs[0]
        return str(value.name) if value is not None else ""

    @staticmethod
    def names(layer: Layer) -> tuple[str, str]:
        """The constants in which a layer finds the weight and the bias that it was given."""
        return f"{layer.name}/weight", f"{layer.name}/bias"

    def set_weights(self, layer: Layer, weights: Weights) -> None:
        """Lets a layer compute with other weights; a bias of None leaves the old one."""
        node, (weight, bias) = self.node(layer), self.names(layer)
        _put(node, 1, weight, weights.reals)
        if weights.bias is None:
            return
        if len(node.inputs) < 3:
            node.resize_inputs(3)
        _put(node, 2, bias, weights.bias)


def _put(node: ir.Node, index: int, name: str, array: NDArray[np.floating]) -> None:
    """Makes a constant of its own the input of a node."""
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    value = graph.initializers.get(name)
    if value is None:
        value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        graph.register_initializer(value)
    value.type, value.shape, value.const_value = (
        ir.TensorType(ir.DataType.FLOAT),
        ir.Shape(array.shape),
        ir.tensor(array, name=name),
    )
    node.replace_input_with(index, value)


def _insert_roundings(graph: ir.Graph, plan: QuantPlan, config: QuantConfig) -> None:
    """Rounds weights, and every tensor that has codes with the parameters of the plan."""
    wide = frozenset(
        (str(node.name), index)
        for node in graph
        for index, value in enumerate(node.inputs)
        if (node.name in plan.steep or is_norm(node)) and value is not None and value.name in plan.wide
    )
    fine = [name for name, params in plan.tensors.items() if is_fine(params)]
    activations = ActivationPlan(graph, config, plan.float_nodes, plan.aside, wide, fine)
    given = {name: plan.tensors[name].dequantize(codes) for name, codes in plan.weight_codes.items()}
    for name, reals in (activations.weights() | given).items():
        graph.initializers[name].const_value = ir.tensor(reals, name=name)
    names = insert_codes(graph, activations)
    values = {str(value.name): value for value in graph.inputs}
    for tensor, (scale, zero_point) in zip(activations.rounded, names, strict=True):
        params = plan.tensors[tensor]
        for name, array in ((scale, params.scale), (zero_point, params.zero_point)):
            graph.inputs.remove(values[name])
            values[name].const_value = ir.tensor(np.asarray(array), name=name)
            graph.register_initializer(values[name])

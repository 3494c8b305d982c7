"""The float network with values rounded to codes, and back, where the integer network has codes.

Scales and zero points of activations are inputs of the graph: one session serves every choice of ranges. Weights are rounded
once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.names import Names
from qconv.model.session import open_session
from qconv.plan.activations import ActivationPlan
from qconv.plan.wide import Use
from qconv.quant.types import FloatArray, IntType, QuantParams

Feeds = Mapping[str, NDArray[np.generic]]


class FakeQuant:
    """A session of its own copy of a prepared model; `plan` tells what is quantized there."""

    def __init__(self, model: ir.Model, plan: ActivationPlan, *, threads: int = 0) -> None:
        copy = model.clone()
        self._tensors = tuple(plan.rounded)
        _round_weights(copy.graph, plan)
        self._names = insert_codes(copy.graph, plan)
        self._session = open_session(copy, threads=threads, fuse_quantized=False)

    def run(self, feeds: Feeds, params: Mapping[str, QuantParams]) -> list[FloatArray]:
        """The outputs with these parameters of the tensors."""
        given = dict(feeds)
        for tensor, (scale, zero_point) in zip(self._tensors, self._names, strict=True):
            given[scale] = np.asarray(params[tensor].scale, np.float32)
            given[zero_point] = np.asarray(params[tensor].zero_point, params[tensor].int_type.dtype)
        return list(self._session.run(None, given))


def _round_weights(graph: ir.Graph, plan: ActivationPlan) -> None:
    for name, reals in plan.weights().items():
        graph.initializers[name].const_value = ir.tensor(reals, name=name)


def insert_codes(graph: ir.Graph, plan: ActivationPlan) -> list[tuple[str, str]]:
    """Quantizes and dequantizes each tensor; the names of the inputs for its scale and zero point."""
    names = Names(graph)
    values = {str(value.name): value for value in (*graph.inputs, *(value for node in graph for value in node.outputs))}
    bounds = {
        int_type: [_bound(graph, names, code, int_type) for code in (int_type.qmin, int_type.qmax)]
        for int_type in dict.fromkeys(plan.types.values())
    }
    inserted = []
    for tensor in plan.rounded:
        value, int_type = values[tensor], plan.types[tensor]
        scale, zero_point = _input(graph, names, np.dtype(np.float32)), _input(graph, names, int_type.dtype)
        inserted.append((str(scale.name), str(zero_point.name)))
        nodes = [ir.node("QuantizeLinear", [value, scale, zero_point], name=names.fresh_node("qconv_quantize"))]
        if not int_type.fills_container:
            nodes.append(ir.node("Clip", [nodes[-1].outputs[0], *bounds[int_type]], name=names.fresh_node("qconv_clip")))
        nodes.append(ir.node("DequantizeLinear", [nodes[-1].outputs[0], scale, zero_point], name=names.fresh_node("qconv_real")))
        for node in nodes:
            node.outputs[0].name = names.fresh("qconv_simulated")
        put_behind(graph, value, nodes, plan.integer, plan.wide_uses)
    return inserted


def put_behind(
    graph: ir.Graph, value: ir.Value, nodes: Sequence[ir.Node], integer: Collection[str], wide: Collection[Use] = ()
) -> None:
    """Lets those that read the codes of a tensor read what `nodes` make of it; `integer` names the nodes that work with codes.

    The uses in `wide` read the tensor in int32, which is as good as its reals.
    """
    producer, real = value.producer(), nodes[-1].outputs[0]
    codes = producer is not None and producer.name in integer  # a float node's value is quantized for integer nodes only
    users = [
        use
        for use in value.uses()
        if use.node not in nodes and (codes or use.node.name in integer) and (str(use.node.name), use.idx) not in wide
    ]
    is_output = codes and value.is_graph_output()
    real.type, real.shape = value.type, value.shape
    if producer is None:
        graph.insert_before(graph[0], nodes)
    else:
        graph.insert_after(producer, nodes)
    for use in users:
        use.node.replace_input_with(use.idx, real)
    if is_output:
        graph.outputs[:] = [real if output is value else output for output in graph.outputs]


def _input(graph: ir.Graph, names: Names, dtype: np.dtype[np.generic]) -> ir.Value:
    kind = ir.TensorType(ir.DataType.from_numpy(dtype))
    value = ir.Value(name=names.fresh("qconv_parameter"), type=kind, shape=ir.Shape([]))
    graph.inputs.append(value)
    return value


def _bound(graph: ir.Graph, names: Names, code: int, int_type: IntType) -> ir.Value:
    value = ir.Value(name=names.fresh("qconv_bound"), const_value=ir.tensor(np.array(code, int_type.dtype)))
    graph.register_initializer(value)
    return value

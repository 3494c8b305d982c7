"""Weights of at most 4 bits take half a byte in a file: INT4, and a Cast to int8 that onnxruntime folds on loading."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.graph import const_array
from qconv.model.names import Names
from qconv.model.traits import Trait, has_trait

_LEAST_BYTES = 256  # of a weight for which a Cast of its own pays
_LIMITS = (-8, 7)


def packed(model: ir.Model) -> ir.Model:
    """The model itself, or a copy in which all int8 constants that fit are INT4."""
    if not any(_fits(value) for value in model.graph.initializers.values()):
        return model
    copy = model.clone()
    names = Names(copy.graph)
    for value in list(copy.graph.initializers.values()):
        if _fits(value):
            _pack(copy.graph, value, names)
    return copy


def unpack(model: ir.Model) -> int:
    """Folds, in place, each Cast of a constant to int8; the number folded."""
    casts = [node for node in model.graph if _unpacks(node)]
    for node in casts:
        source, output = node.inputs[0], node.outputs[0]
        array = const_array(source)
        assert source is not None and array is not None
        name = str(output.name)
        value = ir.Value(name=name, const_value=ir.tensor(array.astype(np.int8), name=name))
        value.type, value.shape = ir.TensorType(ir.DataType.INT8), ir.Shape(array.shape)
        output.replace_all_uses_with(value)
        model.graph.remove(node, safe=True)
        model.graph.register_initializer(value)
        if not source.uses():
            del model.graph.initializers[str(source.name)]
    return len(casts)


def _fits(value: ir.Value) -> bool:
    if value.const_value is None or value.const_value.dtype != ir.DataType.INT8 or value.is_graph_output():
        return False
    array = const_array(value)
    if array is None or array.nbytes < _LEAST_BYTES:
        return False
    return bool(array.min() >= _LIMITS[0] and array.max() <= _LIMITS[1])


def _pack(graph: ir.Graph, value: ir.Value, names: Names) -> None:
    array = const_array(value)
    assert array is not None
    wish = f"{value.name}_int4"
    name = names.fresh(wish)
    small = ir.Value(name=name, const_value=ir.tensor(array.astype(ir.DataType.INT4.numpy()), dtype=ir.DataType.INT4, name=name))
    small.type, small.shape = ir.TensorType(ir.DataType.INT4), ir.Shape(array.shape)
    readers = [(use.node, use.idx) for use in value.uses()]
    whole = ir.Value(name=value.name, type=ir.TensorType(ir.DataType.INT8), shape=ir.Shape(array.shape))
    del graph.initializers[str(value.name)]
    graph.register_initializer(small)
    cast = ir.Node("", "Cast", [small], [ir.AttrInt64("to", int(ir.DataType.INT8))], outputs=[whole], name=names.fresh_node(wish))
    graph.insert_before(graph[0], cast)
    for node, index in readers:
        node.replace_input_with(index, whole)


def _unpacks(node: ir.Node) -> bool:
    source, output = (node.inputs[0] if node.inputs else None), node.outputs[0]
    if not has_trait(node, Trait.CASTS) or source is None or output.is_graph_output() or output.dtype != ir.DataType.INT8:
        return False
    return source.const_value is not None and source.is_initializer() and source.const_value.dtype == ir.DataType.INT4

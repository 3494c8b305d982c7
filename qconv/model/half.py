"""Other floats become float32 inside a model, with a Cast where one is an input or an output: those keep their types.

float16 and bfloat16 do so exactly. float64 is narrowed only where an input or an output has it, so that the model computes in it
as a whole; self-checks see what that changes.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from qconv.model.names import Names

_HALF = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")


def half_to_float(model: ir.Model) -> int:
    """Turn every float16 and bfloat16 value, weight and cast into float32, and float64 as above; the number of changes."""
    borders = {value: value.dtype for value in (*model.graph.inputs, *model.graph.outputs)}
    kinds = (*_HALF, ir.DataType.DOUBLE) if ir.DataType.DOUBLE in borders.values() else _HALF
    changes = 0
    for graph in model.graphs():
        for value in graph.initializers.values():
            changes += _widen_weight(value, kinds)
        for value in graph.inputs:
            changes += _widen_type(value, kinds)
        for node in graph:
            changes += _widen_attributes(node, kinds) + sum(_widen_type(value, kinds) for value in node.outputs)
    _keep_borders(model.graph, {value: dtype for value, dtype in borders.items() if dtype in kinds and dtype is not None})
    return changes


def _keep_borders(graph: ir.Graph, types: dict[ir.Value, ir.DataType]) -> None:
    """Gives inputs and outputs their types back, with a Cast behind or before them."""
    names = Names(graph)
    for value, dtype in types.items():
        name = str(value.name)
        other = ir.Value(name=names.fresh(f"{name}_float32"), type=ir.TensorType(ir.DataType.FLOAT), shape=value.shape)
        if value.is_graph_input():
            value.replace_all_uses_with(other)
            cast = ir.Node("", "Cast", [value], [_to(ir.DataType.FLOAT)], outputs=[other], name=names.fresh_node(f"{name}/cast"))
            value.type = ir.TensorType(dtype)
            if len(graph):
                graph.insert_before(graph[0], cast)
            else:
                graph.append(cast)
        elif value.producer() is not None:
            other.type, other.name = ir.TensorType(dtype), name
            value.name = names.fresh(f"{name}_float32")
            places = [place for place, output in enumerate(graph.outputs) if output is value]
            graph.append(ir.Node("", "Cast", [value], [_to(dtype)], outputs=[other], name=names.fresh_node(f"{name}/cast")))
            for place in places:
                graph.outputs[place] = other


def _to(dtype: ir.DataType) -> ir.Attr:
    return ir.AttrInt64("to", int(dtype))


def _widen_weight(value: ir.Value, kinds: Collection[ir.DataType]) -> int:
    tensor = value.const_value
    if tensor is not None and tensor.dtype in kinds:
        value.const_value = ir.Tensor(tensor.numpy().astype(np.float32), name=value.name)
    return _widen_type(value, kinds)


def _widen_type(value: ir.Value, kinds: Collection[ir.DataType]) -> int:
    if value.dtype not in kinds:
        return 0
    value.dtype = ir.DataType.FLOAT
    return 1


def _widen_attributes(node: ir.Node, kinds: Collection[ir.DataType]) -> int:
    changes = 0
    for name, attribute in tuple(node.attributes.items()):
        if name in _TYPE_ATTRIBUTES and attribute.type == ir.AttributeType.INT and attribute.as_int() in kinds:
            node.attributes[name] = ir.AttrInt64(name, int(ir.DataType.FLOAT))
        elif attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in kinds:
            tensor = ir.Tensor(attribute.as_tensor().numpy().astype(np.float32))
            node.attributes[name] = ir.AttrTensor(name, tensor)
        else:
            continue
        changes += 1
    return changes

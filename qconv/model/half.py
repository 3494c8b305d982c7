"""float16 inside a model becomes float32, exactly; only inputs have to be float32 already."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

_HALF = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")


def half_to_float(model: ir.Model) -> int:
    """Turn every float16 and bfloat16 value, weight and cast into float32; the number of changes."""
    changes = 0
    for graph in model.graphs():
        for value in graph.initializers.values():
            changes += _widen_weight(value)
        for value in graph.inputs:
            changes += _widen_type(value)
        for node in graph:
            changes += _widen_attributes(node) + sum(_widen_type(value) for value in node.outputs)
    return changes


def _widen_weight(value: ir.Value) -> int:
    tensor = value.const_value
    if tensor is not None and tensor.dtype in _HALF:
        value.const_value = ir.Tensor(tensor.numpy().astype(np.float32), name=value.name)
    return _widen_type(value)


def _widen_type(value: ir.Value) -> int:
    if value.dtype not in _HALF:
        return 0
    value.dtype = ir.DataType.FLOAT
    return 1


def _widen_attributes(node: ir.Node) -> int:
    changes = 0
    for name, attribute in tuple(node.attributes.items()):
        if name in _TYPE_ATTRIBUTES and attribute.type == ir.AttributeType.INT and attribute.as_int() in _HALF:
            node.attributes[name] = ir.AttrInt64(name, int(ir.DataType.FLOAT))
        elif attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in _HALF:
            tensor = ir.Tensor(attribute.as_tensor().numpy().astype(np.float32))
            node.attributes[name] = ir.AttrTensor(name, tensor)
        else:
            continue
        changes += 1
    return changes

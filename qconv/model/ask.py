"""Types and shapes that onnx cannot infer, behind ops of onnxruntime's own domain, as onnxruntime infers them."""

from __future__ import annotations

import onnx_ir as ir

from qconv.errors import ModelError
from qconv.model.session import open_session

_TYPES = {
    "tensor(float)": ir.DataType.FLOAT,
    "tensor(int64)": ir.DataType.INT64,
    "tensor(int32)": ir.DataType.INT32,
    "tensor(bool)": ir.DataType.BOOL,
    "tensor(uint8)": ir.DataType.UINT8,
    "tensor(int8)": ir.DataType.INT8,
    "tensor(float16)": ir.DataType.FLOAT16,
    "tensor(double)": ir.DataType.DOUBLE,
}


def ask_onnxruntime(model: ir.Model) -> int:
    """Fill in the types and shapes of the main graph that are missing, in place; returns how many were found.

    Onnxruntime tells no scalar from a tensor of unknown rank, so that those stay without a shape.
    """
    values = {str(value.name): value for node in model.graph for value in node.outputs if value.name}
    unknown = {name: value for name, value in values.items() if value.dtype is None or value.shape is None}
    if not unknown:
        return 0
    try:
        found = open_session(model, outputs=list(unknown), threads=1, optimize=False).get_outputs()
    except ModelError:
        return 0  # what has no type is left in float
    for info in found:
        value = unknown[info.name]
        if info.type not in _TYPES:
            continue
        value.type = ir.TensorType(_TYPES[info.type])
        if info.shape:
            value.shape = ir.Shape([size if isinstance(size, (int, str)) else None for size in info.shape])
    return len(found)

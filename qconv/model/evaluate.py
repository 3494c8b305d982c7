"""One node, run alone by onnxruntime: for tables of float functions, and for asking a kernel what it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper

from qconv.model.graph import const_array

Array = NDArray[Any]
Attribute = int | float | str


def run_float_node(node: ir.Node, arrays: Sequence[Array | None]) -> list[Array]:
    """The outputs of a graph's node on given inputs (None leaves an optional input out)."""
    proto = ir.serde.serialize_node(node)
    del proto.input[:], proto.output[:]
    return _run(proto, arrays, len(node.outputs), node.domain)


def function_of(node: ir.Node, place: int, reals: Array) -> NDArray[np.float32]:
    """The first output of a node whose input `place` has these elements, and whose others are constant."""
    arrays = [const_array(value) for value in node.inputs]
    arrays[place] = np.asarray(reals, np.float32)
    with np.errstate(all="ignore"):
        return np.asarray(run_float_node(node, arrays)[0], np.float32)


def run_node(
    op_type: str, arrays: Sequence[Array | None], *, domain: str = "", attributes: Mapping[str, Attribute] | None = None
) -> list[Array]:
    """The single output of a new node of one op."""
    proto = helper.make_node(op_type, [], [], domain=domain)
    proto.attribute.extend(helper.make_attribute(name, value) for name, value in (attributes or {}).items())
    return _run(proto, arrays, 1, domain)


def _run(proto: onnx.NodeProto, arrays: Sequence[Array | None], outputs: int, domain: str) -> list[Array]:
    """Constants but the first input of a type that numpy has, so that kernels which want them constant accept them."""
    names = [f"x{i}" if array is not None else "" for i, array in enumerate(arrays)]
    given = [(name, array) for name, array in zip(names, arrays, strict=True) if array is not None]
    proto.input.extend(names)
    proto.output.extend(f"y{i}" for i in range(outputs))
    fed = [pair for pair in given if np.asarray(pair[1]).dtype.isbuiltin == 1][:1]
    graph = helper.make_graph(
        [proto],
        "node",
        [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape) for name, array in fed],
        [onnx.ValueInfoProto(name=name) for name in proto.output],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in given if name not in dict(fed)],
    )
    opsets = [helper.make_opsetid("", 21)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(fed)))

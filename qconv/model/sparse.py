"""Sparse constants of a model as dense ones, as onnxruntime takes them when it loads a file."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import onnx
from onnx import numpy_helper

from qconv.errors import ModelError

_LARGEST = 1 << 30  # bytes of a dense constant, which a few bytes may stand for


def make_dense(model: onnx.ModelProto) -> int:
    """Makes the sparse initializers and Constants of a message dense, in place; their number. Raises ModelError."""
    bodies = [node for function in model.functions for node in function.node]
    return _in_graph(model.graph) + _in_nodes(bodies)


def _in_graph(graph: onnx.GraphProto) -> int:
    found = [_dense(sparse, sparse.values.name) for sparse in graph.sparse_initializer]
    graph.initializer.extend(found)
    graph.ClearField("sparse_initializer")
    return len(found) + _in_nodes(graph.node)


def _in_nodes(nodes: Iterable[onnx.NodeProto]) -> int:
    count = 0
    for node in nodes:
        for attribute in node.attribute:
            if attribute.name == "sparse_value" and attribute.HasField("sparse_tensor"):
                dense = _dense(attribute.sparse_tensor, node.output[0])
                attribute.CopyFrom(onnx.helper.make_attribute("value", dense))
                count += 1
            count += sum(map(_in_graph, (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs)))
    return count


def _dense(sparse: onnx.SparseTensorProto, name: str) -> onnx.TensorProto:
    """The places of the values are linear, [values], or by axis, [values, axes]."""
    try:
        values, places = numpy_helper.to_array(sparse.values).reshape(-1), numpy_helper.to_array(sparse.indices)
        dims = tuple(sparse.dims)
        if min(dims, default=1) < 0 or math.prod(dims) * values.dtype.itemsize > _LARGEST:
            raise ModelError(f"the sparse tensor '{name}' would take more than {_LARGEST >> 30} GB; store it as a dense one")
        dense = np.zeros(math.prod(dims), values.dtype)
        linear = places if places.ndim == 1 else np.ravel_multi_index(tuple(places.T), dims)
        if linear.min(initial=0) < 0:
            raise IndexError("an index below 0")
        dense[linear] = values
    except (ValueError, IndexError, TypeError) as error:
        raise ModelError(f"the sparse tensor '{name}' is damaged ({error}); store it as a dense one") from None
    return numpy_helper.from_array(dense.reshape(dims), name)

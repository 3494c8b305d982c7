"""Shapes of all values by onnx's inference, with values of shape computations where following them is harmless."""

from __future__ import annotations

import onnx
from onnx import shape_inference

from qconv.model.pool_windows import settle_windows
from qconv.model.traits import TRAITS, Trait

LONGEST = 1 << 16  # elements; no shape is computed from longer vectors


def infer_shapes(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a shape for every value where onnx can tell; unchanged where inference fails.

    Data propagation, which sees through Shape -> Gather -> Concat -> Reshape, computes vectors in full: it is left out
    where one could be long, so that a small file cannot fill the memory.
    """
    try:
        inferred = shape_inference.infer_shapes(proto)
        while settle_windows(inferred):
            inferred = proto = shape_inference.infer_shapes(inferred)
        if _vectors_are_short(inferred.graph):
            inferred = shape_inference.infer_shapes(proto, data_prop=True)
    except (RuntimeError, shape_inference.InferenceError):
        return proto  # onnxruntime has accepted the model; what has no shape is left in float
    return inferred


def _vectors_are_short(graph: onnx.GraphProto) -> bool:
    known = {info.name: info.type.tensor_type for info in [*graph.input, *graph.value_info, *graph.output]}
    if any(
        kind.HasField("shape") and len(kind.shape.dim) == 1 and kind.shape.dim[0].dim_value > LONGEST for kind in known.values()
    ):
        return False  # such as an input that a few bytes declare
    for node in graph.node:
        if TRAITS.get((node.domain, node.op_type), Trait.NONE) & Trait.GROWS and not _is_short(known.get(node.output[0])):
            return False
        bodies = [body for attribute in node.attribute for body in (attribute.g, *attribute.graphs)]
        if not all(_vectors_are_short(body) for body in bodies):
            return False
    return True


def _is_short(kind: onnx.TypeProto.Tensor | None) -> bool:
    """A scalar, a short vector of known length, or a tensor of higher rank, whose values are not followed."""
    if kind is None or not kind.HasField("shape"):
        return False
    dims = kind.shape.dim
    return len(dims) != 1 or (dims[0].HasField("dim_value") and dims[0].dim_value <= LONGEST)

"""Operators that are newer than the opset that qconv works in, written out by the functions that onnx defines them with.

What newer_ops.py has no shorter form for, as LinearAttention, CausalConvWithState, or Attention of free sizes.
"""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper, inliner

from qconv.model.functions import nodes_within
from qconv.model.shapes import infer_shapes

_DOMAIN = "qconv.defined"


def write_defined_ops(proto: onnx.ModelProto, opset: int, target: int) -> onnx.ModelProto:
    """A model of `opset` with its nodes of ops that `target` lacks written out, as far as onnx has functions for them.

    Expects no functions in the model; nodes in subgraphs stay as they are.
    """
    if not any(_is_newer(node, target) for node in nodes_within(proto.graph.node)):
        return proto
    proto = infer_shapes(proto)
    types = {info.name: info.type for info in (*proto.graph.input, *proto.graph.value_info, *proto.graph.output)}
    types |= {tensor.name: helper.make_tensor_type_proto(tensor.data_type, tensor.dims) for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        function = _function_of(node, types, opset) if _is_newer(node, target) else None
        if function is None:
            continue
        _give_defaults(node, opset)
        function.domain, function.name = _DOMAIN, f"{node.op_type}_{len(proto.functions)}"
        node.domain, node.op_type = function.domain, function.name
        proto.functions.append(function)
    if not proto.functions:
        return proto
    proto.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    written = inliner.inline_local_functions(proto, convert_version=True)
    kept = [entry for entry in written.opset_import if entry.domain != _DOMAIN]
    del written.opset_import[:]
    written.opset_import.extend(kept)
    return written


def _is_newer(node: onnx.NodeProto, target: int) -> bool:
    if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type):
        return False
    try:
        onnx.defs.get_schema(node.op_type, target)
    except onnx.defs.SchemaError:
        return True
    return False


def _function_of(node: onnx.NodeProto, types: dict[str, onnx.TypeProto], opset: int) -> onnx.FunctionProto | None:
    """The body of a node's op for this node, of its opset or an older one; None where onnx has none."""
    schema: Any = onnx.defs.get_schema(node.op_type, opset)  # onnx declares no types for its methods on functions
    if versions := [version for version in schema.function_opset_versions if version <= opset]:
        return _parsed(schema.get_function_with_opset_version(max(versions)))
    versions = [version for version in schema.context_dependent_function_opset_versions if version <= opset]
    if not versions or any(name and name not in types for name in node.input):
        return None
    given = [types[name].SerializeToString() if name else b"" for name in node.input]
    return _parsed(schema.get_context_dependent_function_with_opset_version(max(versions), node.SerializeToString(), given))


def _parsed(body: bytes) -> onnx.FunctionProto:
    function = onnx.FunctionProto()
    function.ParseFromString(body)
    return function


def _give_defaults(node: onnx.NodeProto, opset: int) -> None:
    """Gives a node the attributes that it leaves out and its op has defaults for, as the body refers to them."""
    given = {attribute.name for attribute in node.attribute}
    known = onnx.defs.get_schema(node.op_type, opset).attributes
    missing = [attribute.default_value for name, attribute in known.items() if name not in given]
    node.attribute.extend(default for default in missing if default.type)

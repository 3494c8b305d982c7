"""Any opset to the one that qconv works in, by the version converters of onnx and onnxscript."""

from __future__ import annotations

import re
from collections.abc import Collection

import onnx
import onnx_ir as ir
from onnx import helper, version_converter
from onnxscript.version_converter import convert_version

from qconv.errors import ModelError
from qconv.model.defined_ops import write_defined_ops
from qconv.model.light import attach_weights, detach_weights
from qconv.model.meaning import keep_sampling, prepare_for_conversion, signatures_are_alike
from qconv.model.names import give_back_names, node_names
from qconv.model.newer_ops import has_newer_ops, write_newer_ops
from qconv.model.shapes import infer_shapes

OPSET = 21
IR_VERSION = 10
_NORMS = {"LayerNormalization": 17, "SimplifiedLayerNormalization": OPSET}  # opsets before which no converter knows them
_APART = "onnxruntime.norms"
_PAIR = frozenset({"QuantizeLinear", "DequantizeLinear"})
_NAMED_OP = re.compile(r"(?:Version of|for|op) (\w+)")


def to_working_opset(model: ir.Model) -> ir.Model:
    """The same model at opset 21 and IR 10 with shapes; large weights do not pass through the converter.

    Expects sorted nodes and no functions; `model` itself is used up. Raises ModelError naming the op that has no equivalent.
    """
    names = node_names(model)
    opset = model.opset_imports.get("", OPSET)
    sampling = prepare_for_conversion(model, opset)
    weights = detach_weights(model)
    if opset > OPSET and has_newer_ops(model):
        model = ir.from_proto(infer_shapes(ir.to_proto(model)))
        write_newer_ops(model)
    proto = ir.to_proto(model)
    if opset > OPSET:
        proto = write_defined_ops(proto, opset, OPSET)
        model = ir.from_proto(proto)
    if opset < OPSET and _uses_group_norm(model):
        proto = _convert_group_norm(_convert(proto, opset, OPSET - 1))
    elif opset > OPSET and signatures_are_alike(model, opset, OPSET):
        proto.opset_import[[entry.domain for entry in proto.opset_import].index("")].version = OPSET
    elif opset != OPSET:
        proto = _convert(proto, opset, OPSET)
    _write_standard_pairs(proto)
    proto = infer_shapes(proto)
    proto.ir_version = IR_VERSION
    converted = ir.from_proto(proto)
    converted.opset_imports.setdefault("", OPSET)  # a model of ai.onnx.ml alone has none
    attach_weights(converted, weights)
    give_back_names(converted, names)
    keep_sampling(converted, sampling)
    return converted


def _write_standard_pairs(proto: onnx.ModelProto) -> None:
    """Gives the pairs of com.microsoft the domain of the standard, which has their types at opset 21."""
    for node in proto.graph.node:
        if node.domain == "com.microsoft" and node.op_type in _PAIR:
            node.domain = ""


def _convert(proto: onnx.ModelProto, opset: int, target: int) -> onnx.ModelProto:
    proto.ir_version = IR_VERSION  # initializers are no inputs here, which older IR versions did not know
    norms = _set_apart(proto, opset)
    try:
        converted = version_converter.convert_version(proto, target)
    except (RuntimeError, version_converter.ConvertError) as error:
        named = _NAMED_OP.search(str(error))
        culprit = f"{named.group(1)} has" if named and onnx.defs.has(named.group(1)) else "its nodes have"
        raise ModelError(
            f"the model has opset {opset}, and {culprit} no equivalent at opset {OPSET}: export to opset {OPSET}"
        ) from error
    converted.metadata_props.extend(proto.metadata_props)
    _put_back(converted, norms)
    return converted


def _set_apart(proto: onnx.ModelProto, opset: int) -> frozenset[str]:
    """Gives the norms that onnxruntime's optimizer wrote a domain of their own, which no converter looks into.

    onnxruntime has them at every opset, with the same meaning. Returns the domains to take away again.
    """
    unknown = [node for node in proto.graph.node if node.op_type in _NORMS and not node.domain and opset < _NORMS[node.op_type]]
    if not unknown:
        return frozenset()
    for node in unknown:
        node.domain = _APART
    proto.opset_import.append(helper.make_opsetid(_APART, 1))
    return frozenset({_APART})


def _put_back(proto: onnx.ModelProto, domains: Collection[str]) -> None:
    for node in proto.graph.node:
        if node.domain in domains:
            node.domain = ""
    kept = [entry for entry in proto.opset_import if entry.domain not in domains]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)


def _uses_group_norm(model: ir.Model) -> bool:
    return any(node.domain == "" and node.op_type == "GroupNormalization" for node in model.graph.all_nodes())


def _convert_group_norm(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Converts from opset 20 to 21 by onnxscript: onnx leaves the scale of GroupNormalization per group, 21 per channel."""
    model = ir.from_proto(infer_shapes(proto))
    for node in model.graph.all_nodes():
        shape = node.inputs[0].shape if node.op_type == "GroupNormalization" and node.inputs[0] is not None else None
        if node.op_type == "GroupNormalization" and (shape is None or not isinstance(shape[1], int)):
            raise ModelError(f"node '{node.name}' is a GroupNormalization of unknown channels: export to opset {OPSET}")
    convert_version(model, OPSET)
    return ir.to_proto(model)

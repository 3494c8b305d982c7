"""Any opset to the one that qconv works in, by onnx's version converter, and shapes by onnx's inference."""

from __future__ import annotations

import re

import onnx
import onnx_ir as ir
from onnx import shape_inference, version_converter

from qconv.errors import ModelError
from qconv.model.light import attach_weights, detach_weights

OPSET = 21
IR_VERSION = 10
_NAMED_OP = re.compile(r"(?:Version of|for|op) (\w+)")


def to_working_opset(model: ir.Model) -> ir.Model:
    """The same model at opset 21 and IR 10 with shapes; large weights do not pass through the converter.

    Expects sorted nodes and no functions; `model` itself is used up. Raises ModelError naming the op that has no equivalent.
    """
    weights = detach_weights(model)
    proto = ir.to_proto(model)
    proto = _infer_shapes(_convert(proto))
    proto.ir_version = IR_VERSION
    converted = ir.from_proto(proto)
    attach_weights(converted, weights)
    return converted


def _convert(proto: onnx.ModelProto) -> onnx.ModelProto:
    opset = next((entry.version for entry in proto.opset_import if entry.domain == ""), OPSET)
    if opset == OPSET:
        return proto
    proto.ir_version = IR_VERSION  # initializers are no inputs here, which older IR versions did not know
    try:
        converted = version_converter.convert_version(proto, OPSET)
    except (RuntimeError, version_converter.ConvertError) as error:
        named = _NAMED_OP.search(str(error))
        culprit = f"{named.group(1)} has" if named else "its nodes have"
        raise ModelError(
            f"the model has opset {opset}, and {culprit} no equivalent at opset {OPSET}: export to opset {OPSET}"
        ) from error
    converted.metadata_props.extend(proto.metadata_props)
    return converted


def _infer_shapes(proto: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return shape_inference.infer_shapes(proto, data_prop=True)
    except (RuntimeError, shape_inference.InferenceError):
        return proto  # onnxruntime has accepted the model; nodes without a shape are left in float

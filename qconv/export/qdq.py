"""The same decisions as pairs around float operators, for OpenVINO, TensorRT, QNN and other runtimes that fuse them.

Weights and biases stay codes. What is computed in plain integers, as a norm is, stays so, but for scores in 16 bits.
"""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from qconv.import_.unfuse import unfuse_operators
from qconv.import_.unfuse_scores import unfuse_scores
from qconv.integer.metadata import PREFIX
from qconv.model.save import PRODUCER


def qdq_model(model: ir.Model) -> ir.Model:
    """A copy of an integer model with QuantizeLinear and DequantizeLinear in place of its operators on codes."""
    copy = model.clone()
    unfuse_operators(copy)
    unfuse_scores(copy)
    for node in copy.graph:
        for key in [key for key in node.metadata_props if key.startswith(PREFIX)]:
            del node.metadata_props[key]
    for key in [key for key in copy.metadata_props if key.startswith(PREFIX)]:
        del copy.metadata_props[key]
    copy.producer_name = PRODUCER
    common_passes.RemoveUnusedNodesPass()(copy)
    if not any(node.domain for node in copy.graph):
        copy.opset_imports.pop("com.microsoft", None)
    return copy

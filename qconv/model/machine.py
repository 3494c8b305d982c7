"""What the processor that this runs on computes with onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.session import open_session

_SUM = """<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>
g (uint8[1] a, uint8[1] b) => (uint8[1] y) <float half = {0.5}, float one = {1.0}, uint8 zero = {0}> {
    y = com.microsoft.QLinearAdd(a, half, zero, b, half, zero, one, zero)
}"""
_PRODUCT = """<ir_version: 10, opset_import: ["" : 21]>
g (uint8[1,2] x) => (int32[1,1] y) <int8[2,1] w = {127, 127}> { y = MatMulInteger(x, w) }"""


def adds_pairs_in_int16() -> bool:
    """Whether products of uint8 and int8 saturate here, as on x86 with AVX2 and without VNNI: found by multiplying."""
    session = open_session(ir.from_onnx_text(_PRODUCT), threads=1)
    (result,) = session.run(None, {"x": np.full((1, 2), 255, np.uint8)})
    return int(result[0, 0]) != 2 * 255 * 127


def adds_in_integers() -> bool:
    """Whether QLinearAdd rounds halves away from zero here, as on 64-bit ARM: found by adding a half and nothing."""
    session = open_session(ir.from_onnx_text(_SUM), threads=1)
    (result,) = session.run(None, {"a": np.ones(1, np.uint8), "b": np.zeros(1, np.uint8)})
    return int(result[0]) == 1

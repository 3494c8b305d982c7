"""Small integer graphs of several nodes, for tests of the executor, the audit and the spec."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx import parser

QUANTIZED = """
<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>
net (float[1, 2, 6, 6] x) => (float[1, 2, 6, 6] y)
<float xs = {0.5}, uint8 xz = {128}, int8[2, 2, 1, 1] w = {1, -2, 3, 4}, float ws = {0.25}, int8 wz = {0},
 float ys = {1.0}, uint8 yz = {100}, int32[2] b = {5, -7}, uint8 low = {90}, float sa = {1.0}, uint8 za = {100},
 float sb = {0.5}, uint8 zb = {128}, float sc = {2.0}, uint8 zc = {60}, float os = {2.0}, uint8 oz = {60}>
{
  [quantize] x_quantized = QuantizeLinear (x, xs, xz)
  [conv] c_quantized = QLinearConv (x_quantized, xs, xz, w, ws, wz, ys, yz, b)
  [clip] r_quantized = Clip (c_quantized, low)
  [add] y_quantized = com.microsoft.QLinearAdd (r_quantized, sa, za, x_quantized, sb, zb, sc, zc)
  [dequantize] y = DequantizeLinear (y_quantized, os, oz)
}
"""

# The same with a float node in the middle.
ISLAND = QUANTIZED.replace(
    "[clip] r_quantized = Clip (c_quantized, low)",
    """[leave] c = DequantizeLinear (c_quantized, ys, yz)
  [softplus] r = Softplus (c)
  [enter] r_quantized = QuantizeLinear (r, sa, za)""",
)


def graph(text: str = QUANTIZED) -> ir.Model:
    """A model from onnx's text form."""
    return ir.from_proto(parser.parse_model(text))


def sample(seed: int = 0) -> dict[str, np.ndarray]:
    """An input of these graphs."""
    return {"x": np.random.default_rng(seed).normal(0, 20, (1, 2, 6, 6)).astype(np.float32)}

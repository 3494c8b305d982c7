"""A float network, the integer network made of it by hand, and samples: small enough to reckon on paper.

    x -> Conv (two channels) -> Relu -> Add x -> y

In the integer network the Clip is the Relu, so that one float layer is two nodes; the scales are powers of two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx import parser

from qconv.data.source import Sample
from qconv.verify import Models
from tests.integer.graphs import QUANTIZED

FLOAT = """
<ir_version: 10, opset_import: ["" : 21]>
net (float[1, 2, 6, 6] x) => (float[1, 2, 6, 6] y)
<float[2, 2, 1, 1] w = {0.25, -0.5, 0.75, 1.0}, float[2] b = {1.25, -1.75}>
{
  [conv] c = Conv (x, w, b)
  [relu] r = Relu (c)
  [add] y = Add (r, x)
}
"""

# With the bias and the clamp of the float network.
INTEGER = QUANTIZED.replace("b = {5, -7}, uint8 low = {90}", "b = {10, -14}, uint8 low = {100}")

# Node -> source, tensor, scale, zero point, as lowering writes them.
METADATA = {
    "quantize": ("x/quantize", "x", "0.5", "128"),
    "conv": ("conv", "r", "1.0", "100"),
    "clip": ("relu", "r", "1.0", "100"),
    "add": ("add", "y", "2.0", "60"),
    "dequantize": ("y/dequantize", "y", "2.0", "60"),
}


@dataclass(frozen=True)
class Listed:
    """Samples from a list."""

    samples: tuple[Sample, ...]
    description: str = "a list"
    warning: str | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)


def float_twin() -> ir.Model:
    model = ir.from_proto(onnx.shape_inference.infer_shapes(parser.parse_model(FLOAT)))
    assert isinstance(model, ir.Model)
    return model


def integer_twin(text: str = INTEGER) -> ir.Model:
    model = ir.from_proto(onnx.shape_inference.infer_shapes(parser.parse_model(text)))
    assert isinstance(model, ir.Model)
    for value in (node.outputs[0] for node in model.graph):
        value.dtype = value.dtype or ir.DataType.UINT8
    for node in model.graph:
        if node.name in METADATA:
            keys = ("qconv.source", "qconv.tensor", "qconv.scale", "qconv.zero_point")
            node.metadata_props.update(zip(keys, METADATA[node.name], strict=True))
    return model


def samples(count: int = 3, label: int | None = None) -> Listed:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(0, 20, (1, 2, 6, 6)).astype(np.float32) for _ in range(count)]
    return Listed(tuple(Sample({"x": array}, label, f"sample {index}") for index, array in enumerate(arrays)))


def twins(folder: Path, text: str = INTEGER) -> Models:
    """Both networks as files in `folder`."""
    integer = integer_twin(text)
    paths = folder / "net.onnx", folder / "net.int8.onnx"
    ir.save(float_twin(), paths[0])
    ir.save(integer, paths[1])
    return Models(paths[0], float_twin(), paths[1], integer)

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
from onnx import numpy_helper, parser

from qconv.model.graph import const_array
from qconv.model.load import load

from .files import random_feeds, run, write

HALF = """<ir_version: 8, opset_import: ["" : 17]>
g (float[2, 3] x, bool c) => (float[2, 2] y)
{ h = Cast <to = 10> (x)
  m = MatMul(h, w)
  s = Shape(m)
  k = ConstantOfShape <value = float16[1] {15360}> (s)
  a = Add(m, k)
  b = If (c) <then_branch = t () => (float16[2, 2] p) { p = Neg(a) }, else_branch = e () => (float16[2, 2] q) { q = Abs(a) }>
  y = Cast <to = 1> (b) }"""


def test_float16_inside_becomes_float32(tmp_path: Path) -> None:
    proto = parser.parse_model(HALF)
    weight = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float16)
    proto.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    path = write(tmp_path, proto)
    model = load(path).ir
    floats = [value for graph in model.graphs() for node in graph for value in node.outputs if value.name != "s"]
    assert {value.dtype for value in floats} == {ir.DataType.FLOAT}
    found = const_array(model.graph.initializers["w"])
    assert found is not None and found.dtype == np.float32 and np.array_equal(found, weight)
    feeds = random_feeds(path)
    # The original rounds the sums to float16, whose relative step is 2^-10; the sums are below 8.
    assert np.allclose(run(model, feeds)[0], run(path, feeds)[0], atol=8 * 2**-10, rtol=0)

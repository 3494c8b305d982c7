"""What is said of layers inside Loop and If that stay in float."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from onnx import parser

from qconv.plan.subgraphs import untouched_subgraphs


@pytest.mark.parametrize(
    ("count", "remedy"),
    [("times", "--pin times=VALUE makes one of them the network"), ("size", "export what is inside by itself")],
)
def test_only_a_number_is_to_be_pinned(count: str, remedy: str) -> None:
    text = f"""<ir_version: 10, opset_import: ["" : 21]>
    g (float[2, 2] x, int64 times) => (float[2, 2] y) <float[2, 2] w = {{1, 2, 3, 4}}> {{
        total = ReduceSum<keepdims = 0>(x)
        size = Cast<to = 7>(total)
        y = Loop({count}, , x) <body = b (int64 i, bool c, float[2, 2] s) => (bool d, float[2, 2] t) {{
            d = Identity(c) t = MatMul(s, w)
        }}>
    }}"""
    (sentence,) = untouched_subgraphs(ir.from_proto(parser.parse_model(text)).graph)
    assert sentence.endswith(remedy)

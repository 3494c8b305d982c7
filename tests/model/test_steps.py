"""Inputs whose first axis holds the steps of a recurrent layer."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from onnx import parser

from qconv.model.steps import inputs_of_steps


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("y = LSTM<hidden_size=4>(x, w, r)", {"x"}),
        ("a = Relu(x) b = Add(a, c) y = GRU<hidden_size=4>(b, w, r)", {"x"}),
        ("a = MatMul(x, m) b = Tanh(a) s, t = RNN<hidden_size=4>(b, w, r) y = GRU<hidden_size=4>(s, w, r)", {"x"}),
        ("y = LSTM<hidden_size=4, layout=1>(x, w, r)", set()),
        ("a = Transpose<perm=[1, 0, 2]>(x) y = LSTM<hidden_size=4>(a, w, r)", set()),
        ("a = Conv(x, k) y = LSTM<hidden_size=4>(a, w, r)", set()),
        ("y = Relu(x)", set()),
    ],
)
def test_steps_are_found_through_what_works_row_by_row(text: str, found: set[str]) -> None:
    constants = "float[1,16,5] w, float[1,16,4] r, float[5,5] m, float[5] c, float[5,5,1] k"
    given = f"float[T,1,5] x, {constants}"
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> g ({given}) => (float[T,1,1,4] y) {{ {text} }}')
    graph = ir.from_proto(model).graph
    assert inputs_of_steps(graph) & {"x"} == found

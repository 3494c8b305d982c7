"""The ends of a range at which the readers of a tensor are flat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import parser

from qconv.ops.flat_ends import useful_range

WHOLE = (-20.0, 12.0)


def of_x(body: str, outputs: str = "float[4] y") -> tuple[float, float]:
    text = f'<ir_version: 8, opset_import: ["": 20]> g (float[4] a, int64[1] s) => ({outputs}) {{ x = Neg(a) {body} }}'
    graph = ir.from_proto(parser.parse_model(text)).graph
    (value,) = graph[0].outputs
    return useful_range(value, WHOLE)


@pytest.mark.parametrize(
    ("body", "low", "high"),
    [
        ("y = HardSwish(x)", -3.0, 12.0),
        ("y = HardSigmoid<alpha=0.1666667, beta=0.5>(x)", -3.0, 3.0),
        ("g = HardSigmoid<alpha=0.1666667, beta=0.5>(x) y = Mul(x, g)", -3.0, 12.0),
        ("r = Reshape(x, s) y = HardSwish(r)", -3.0, 12.0),
        ("r = Concat<axis=0>(x, a) y = HardSwish(r)", -3.0, 12.0),
    ],
)
def test_what_lies_beyond_a_bend_needs_no_codes(body: str, low: float, high: float) -> None:
    found = of_x(body)
    assert found == pytest.approx((low, high), abs=0.05)  # the bend, or up to a fourth of a step beside it


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh", "Erf", "Elu", "Gelu", "Softplus", "Mish"])
def test_a_curve_moves_by_less_than_a_fourth_of_a_step(op: str) -> None:
    low, high = of_x(f"y = {op}(x)")
    assert WHOLE[0] < low <= 0.0 <= high <= WHOLE[1]
    functions: dict[str, Callable[[Any], Any]] = {
        "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "Tanh": np.tanh,
        "Softplus": lambda x: np.log1p(np.exp(x)),
        "Elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    }
    if op in functions:
        values = functions[op](np.linspace(*WHOLE, 2001))
        step = (values.max() - values.min()) / 255
        assert abs(functions[op](np.float64(low)) - values[0]) <= step / 4 * (1 + 1e-3)  # float32 has 2^-24
        assert abs(functions[op](np.float64(high)) - values[-1]) <= step / 4 * (1 + 1e-3) or high == WHOLE[1]


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        ("y = HardSwish(x) z = Add(x, a)", "float[4] y, float[4] z"),
        ("y = HardSwish(x)", "float[4] y, float[4] x"),
        ("y = Mul(x, a)", "float[4] y"),
        ("y = Softmax(x)", "float[4] y"),
        ("r = Concat<axis=0>(x, a) y = HardSwish(r) z = Relu(r)", "float[8] y, float[8] z"),
        ("y = Cos(x)", "float[4] y"),
    ],
)
def test_a_range_stays_where_a_reader_tells_all_apart(body: str, outputs: str) -> None:
    assert of_x(body, outputs) == WHOLE

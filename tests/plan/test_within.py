"""Outputs that the mathematics of an op bound: the calibrated range decides where it is much narrower."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.plan.activations import params_within
from qconv.plan.make import make_plan
from qconv.quant.types import UINT8, QuantParams, Scheme
from tests.lower.harness import normal, quantize_graph, write_model

UNIT = QuantParams(np.asarray(1 / 255, np.float32), np.asarray(0), UINT8)


@pytest.mark.parametrize(("hi", "steps"), [(0.5, 510), (0.01, 25_500), (0.7, 364)])
def test_the_inverse_of_a_narrow_scale_is_a_whole_number(hi: float, steps: int) -> None:
    scale = params_within(UNIT, 0.0, hi, Scheme(UINT8)).scale
    assert np.floor(np.float32(1) / scale) == min(steps, 1 << 13)


@pytest.mark.parametrize("hi", [0.9, 1.0, 40.0])
def test_a_range_that_is_nearly_as_wide_is_the_fixed_one(hi: float) -> None:
    assert params_within(UNIT, -1.0, hi, Scheme(UINT8)) == UNIT


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh"])
def test_a_function_of_low_values_keeps_its_precision(tmp_path: Path, op: str) -> None:
    weights = {"w": normal(4, 4, 1, 1), "b": np.full(4, -4 if op == "Sigmoid" else 0, np.float32)}
    feeds = [{"x": normal(1, 4, 6, 6, seed=i, scale=0.2 if op == "Sigmoid" else 0.02)} for i in range(4)]
    text = f"g (float[1,4,6,6] x) => (float[1,4,6,6] y) {{ c = Conv(x, w, b) y = {op}(c) }}"
    result = quantize_graph(tmp_path, text, weights, feeds)
    assert result.sqnr_db() > 30  # on the fixed range, 14 dB and less
    result.assert_exact()


def test_probabilities_of_many_tokens_keep_their_precision(tmp_path: Path) -> None:
    body = "t = Transpose<perm=[0,2,1]>(x) s = MatMul(x, t) p = Softmax(s) y = MatMul(p, x)"
    text = f"g (float[1,256,16] x) => (float[1,256,16] y) {{ {body} }}"
    feeds = [{"x": np.abs(normal(1, 256, 16, seed=i, scale=0.5))} for i in range(4)]
    result = quantize_graph(tmp_path, text, {}, feeds)
    assert result.sqnr_db() > 25  # on [0, 1], most probabilities are one code or none
    result.assert_exact()


def test_no_method_cuts_the_range_of_what_is_bounded_and_read_by_the_user(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", "g (float[1,64] x) => (float[1,64] y) { y = Softmax(x) }", {})
    graph = pipeline.load_prepared(path).ir.graph
    plan = make_plan(graph, {"x": (-8.0, 8.0), "y": (0.0, 0.25)}.get, QuantConfig(method="percentile"))
    assert plan.tensors["y"].ends[1] == pytest.approx(0.25, rel=2e-3)

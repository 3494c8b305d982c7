"""Outputs in 16 bits where 8 do not serve them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.errors import ArtifactError
from qconv.model.session import open_session
from qconv.plan.quant_plan import QuantPlan
from qconv.quant.types import INT16, QuantParams
from tests.lower.harness import Array, Result, normal, quantize_graph

NONE = QuantConfig(effort="none")
LOW = np.full(10, -6.0, np.float32)
WEIGHT = normal(10, 4, 1, 1, scale=0.8)
FEEDS = [{"x": normal(1, 4, 8, 8, seed=seed)} for seed in range(8)]
SCORES = "c = Conv(x, w, b) s = Sigmoid(c) r = Reshape(s, rows) y = Transpose<perm=[0,2,1]>(r)"
SHARES = "c = Conv(x, w) r = Reshape(c, rows) y = Softmax(r)"
JOINED = "c = Conv(x, w, b) p, q = Split<axis=1>(c, parts) s = Sigmoid(p) t = Sigmoid(q) y = Concat<axis=1>(s, t)"
PRODUCT = "c = Conv<pads=[1,1,1,1]>(x, k) a = Relu(c) p = GlobalAveragePool(a) f = Flatten(p) y = Gemm(f, m, n)"
KERNEL, MATRIX = normal(64, 4, 3, 3, scale=0.3), normal(64, 10, scale=0.5)
BIASES = normal(10, scale=3.0)
CASES: Mapping[str, tuple[str, str, Mapping[str, Array]]] = {
    "scores": (SCORES, "1,64,10", {"w": WEIGHT, "b": LOW, "rows": np.asarray([1, 10, -1])}),
    "probabilities": (SHARES, "1,640", {"w": WEIGHT, "rows": np.asarray([1, -1])}),
    "product": (PRODUCT, "1,10", {"k": KERNEL, "m": MATRIX, "n": BIASES}),
    "matrix": (PRODUCT.replace("Gemm(f, m, n)", "MatMul(f, m)"), "1,10", {"k": KERNEL, "m": MATRIX}),
    "joined": (JOINED, "1,10,8,8", {"w": WEIGHT, "b": LOW, "parts": np.asarray([5, 5])}),
}


def result_of(folder: Path, case: str, config: QuantConfig = NONE, plan: QuantPlan | None = None) -> Result:
    body, shape, weights = CASES[case]
    text = f"g (float[1,4,8,8] x) => (float[{shape}] y) {{ {body} }}"
    return quantize_graph(folder, text, weights, FEEDS, config=config, plan=plan)


@pytest.mark.parametrize("case", CASES)
def test_small_scores_come_in_16_bits(tmp_path: Path, case: str) -> None:
    result = result_of(tmp_path, case)
    assert result.quantized.plan.tensors["y"].int_type == INT16
    assert result.sqnr_db() > 27
    result.assert_exact()


@pytest.mark.parametrize("config", [replace(NONE, io="uint8"), replace(NONE, target="portable")])
def test_codes_that_the_model_gives_and_other_runtimes_have_8_bits(tmp_path: Path, config: QuantConfig) -> None:
    assert result_of(tmp_path, "scores", config).quantized.plan.tensors["y"].int_type.bits == 8


@pytest.mark.parametrize("config", [replace(NONE, pow2=True), replace(NONE, dyadic=True), replace(NONE, target="arm")])
def test_scores_in_16_bits_keep_every_grid_and_processor(tmp_path: Path, config: QuantConfig) -> None:
    result = result_of(tmp_path, "product", config)
    assert result.quantized.plan.tensors["y"].int_type == INT16
    assert result.sqnr_db() > 24
    result.assert_exact()


def test_a_score_beyond_what_calibration_met_is_not_cut_off(tmp_path: Path) -> None:
    result = result_of(tmp_path, "product")
    seen = [open_session(result.path).run(None, feed)[0] for feed in FEEDS]
    ends = result.quantized.plan.tensors["y"].ends
    assert max(map(abs, ends)) >= 2 * max(float(np.abs(scores).max()) for scores in seen) * (1 - 2**-10)


def test_a_bias_that_drowns_what_it_leaves_keeps_8_bits_or_float(tmp_path: Path) -> None:
    text = PRODUCT.replace("f = Flatten(p)", "r = Flatten(p) f = Concat<axis=1>(r, one)")
    weights = {"k": KERNEL, "n": np.full(10, 1e6, np.float32), "one": np.ones((1, 1), np.float32)}
    weights["m"] = np.concatenate([MATRIX, np.full((1, 10), -1e6, np.float32)])
    result = quantize_graph(tmp_path, f"g (float[1,4,8,8] x) => (float[1,10] y) {{ {text} }}", weights, FEEDS, config=NONE)
    assert result.quantized.plan.tensors.get("y") is None or result.quantized.plan.tensors["y"].int_type.bits == 8


def test_a_product_of_many_scores_has_8_bits(tmp_path: Path) -> None:
    text = "g (float[1,64] x) => (float[1,10] y) { y = MatMul(x, m) }"
    feeds = [{"x": normal(1, 64, seed=seed)} for seed in range(4)]
    result = quantize_graph(tmp_path, text, {"m": MATRIX}, feeds, config=NONE)
    assert result.quantized.plan.tensors["y"].int_type.bits == 8


def test_scores_that_8_bits_serve_keep_them(tmp_path: Path) -> None:
    text = "g (float[1,4,8,8] x) => (float[1,4,8,8] y) { y = Sigmoid(x) }"
    assert quantize_graph(tmp_path, text, {}, FEEDS, config=NONE).quantized.plan.tensors["y"].int_type.bits == 8


def test_scores_that_something_computes_with_have_8_bits(tmp_path: Path) -> None:
    text = "g (float[1,4,8,8] x) => (float[1,4,8,8] y) { c = Sub(x, six) s = Sigmoid(c) y = Mul(s, x) }"
    result = quantize_graph(tmp_path, text, {"six": np.asarray(6, np.float32)}, FEEDS, config=NONE)
    assert {params.int_type.bits for params in result.quantized.plan.tensors.values()} == {8}


def test_a_plan_that_was_saved_gives_the_same_codes(tmp_path: Path) -> None:
    first = result_of(tmp_path, "probabilities")
    again = result_of(tmp_path, "probabilities", plan=QuantPlan.from_json(first.quantized.plan.to_json()))
    assert np.array_equal(first.values()["y"], again.values()["y"])


def test_a_plan_with_16_bits_elsewhere_is_refused(tmp_path: Path) -> None:
    plan = result_of(tmp_path, "scores").quantized.plan
    wide = QuantParams(np.asarray(1e-3, np.float32), np.asarray(0), INT16)
    for name in ("c", "s"):  # a tensor that something computes with, and one whose reader has other codes
        with pytest.raises(ArtifactError, match=f"tensor {name} has the type int16"):
            result_of(tmp_path, "scores", plan=replace(plan, tensors={**plan.tensors, name: wide}))


def test_scores_in_16_bits_go_into_every_form(tmp_path: Path) -> None:
    result, file = result_of(tmp_path, "scores"), tmp_path / "m.int8.onnx"
    result.quantized.save(file)
    made = [pipeline.export(file, form, tmp_path / form).network for form in ("json", "c")]
    assert [net.tensors[net.outputs[0]].dtype for net in made if net is not None] == [np.dtype(np.int16)] * 2

"""Reals that become places or sizes are computed in float, so that no rounding changes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.errors import FloatNodesError
from qconv.export.trace import network_of
from qconv.integer.language.audit import audit
from qconv.model.load import load
from qconv.model.session import open_session
from qconv.plan.eligible import float_nodes
from qconv.plan.places import WHY
from qconv.ranges.search.output_error import noise_of, pooled_noise
from tests.lower.harness import Array, Given, normal, write_model

WEIGHTS = {"w": normal(8, 8), "e": normal(64, 8), "zero": np.asarray(0), "one": np.asarray(1), "axis": np.asarray([1])}
SIZES = "(float[4,8] x) => (float[4,K] y) { a = MatMul(x, w) m = ReduceMax<keepdims=0>(a) b = Softplus(m) i = Cast<to=7>(b) "
BODIES = {  # what it is: the graph, and the nodes that stay in float
    "indices": (
        "(float[4,8] x) => (float[4,8,8] y) { a = MatMul(x, w) b = Softplus(a) f = Floor(b) i = Cast<to=6>(f) y = Gather(e, i) }",
        {"softplus1", "floor2", "cast3"},
    ),
    "a bound of a Slice": (
        SIZES + "r = Relu(a) s = Constant<value_ints=[0]>() u = Unsqueeze(i, s) n = Add(u, axis) y = Slice(r, s, n, axis) }",
        {"reducemax1", "softplus2", "cast3"},
    ),
    "a count": (
        "(float[4,8] x) => (float[K] y) { a = MatMul(x, w) m = ReduceMax<keepdims=0>(a) b = Softplus(m) i = Cast<to=7>(b) "
        "r = Range(zero, i, one) f = Cast<to=1>(r) y = Relu(f) }",
        {"reducemax1", "softplus2", "cast3"},
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_they_stay_in_float_back_to_the_last_layer(name: str, tmp_path: Path) -> None:
    body, nodes = BODIES[name]
    path = write_model(tmp_path / "m.onnx", f"g {body}", WEIGHTS, 21)
    reasons = float_nodes(pipeline.load_prepared(path).ir.graph)
    assert reasons == dict.fromkeys(nodes, WHY)
    feeds: list[dict[str, Array]] = [{"x": normal(4, 8, seed=seed)} for seed in range(4)]
    quantized = pipeline.quantize(path, pipeline.calibrate(path, Given(feeds)), config=QuantConfig(effort="none"))
    quantized.save(tmp_path / "m.int8.onnx")
    report = pipeline.verify(path, tmp_path / "m.int8.onnx", Given(feeds))
    assert not report.exactness.mismatches
    assert report.outputs[0].similarity.elements


def test_integers_that_stay_integers_are_no_places(tmp_path: Path) -> None:
    text = "g (float[4,8] x) => (float[4,8] y) { a = MatMul(x, w) i = Cast<to=7>(a) f = Cast<to=1>(i) y = MatMul(f, w) }"
    path = write_model(tmp_path / "m.onnx", text, {"w": WEIGHTS["w"]}, 21)
    assert float_nodes(pipeline.load_prepared(path).ir.graph) == {}


def test_tokens_in_float32_are_read_as_they_are(tmp_path: Path) -> None:
    text = "g (float[N,6] x) => (float[N,6,8] y) { i = Cast<to=7>(x) g = Gather(e, i) y = MatMul(g, w) }"
    path = write_model(tmp_path / "m.onnx", text, {"w": WEIGHTS["w"], "e": normal(1000, 8)}, 21)
    feeds: list[dict[str, Array]] = [
        {"x": np.random.default_rng(seed).integers(0, 1000, (1, 6)).astype(np.float32)} for seed in range(4)
    ]
    quantized = pipeline.quantize(
        path, pipeline.calibrate(path, Given(feeds)), config=QuantConfig(integer_only=True, effort="none")
    )
    quantized.save(tmp_path / "m.int8.onnx")
    assert audit(tmp_path / "m.int8.onnx").integer_only
    right, found = (open_session(tmp_path / name).run(None, feeds[0])[0] for name in ("m.onnx", "m.int8.onnx"))
    assert np.abs(right - found).max() < 0.05 * np.abs(right).max()
    with pytest.raises(FloatNodesError, match="node cast0 makes integers of the reals of input x"):
        network_of(load(tmp_path / "m.int8.onnx").ir)


def test_an_output_whose_size_is_another_counts_as_all_wrong() -> None:
    right = [[np.ones(4, np.float32)], [np.ones(3, np.float32)]]
    found = [[np.ones(4, np.float32)], [np.ones(5, np.float32)]]
    assert noise_of(right, right) == pooled_noise(right, right) == 0
    assert noise_of(found, right) == 0.5
    assert pooled_noise(found, right) == 3 / (3 + 4 + 4)

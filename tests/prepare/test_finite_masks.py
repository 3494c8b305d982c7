"""Infinities of masks before maxima and minima, on networks that a maximum over valid places ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.model.graph import const_array
from tests.lower.harness import Array, normal, quantize_graph, write_model

MASK = np.arange(64).reshape(1, 1, 8, 8) % 3 == 0
ENDS = {
    "maximum": ("r = ReduceMax<keepdims=0>(d, axes)", -np.inf, {"axes": np.asarray([2, 3])}),
    "minimum": ("r = ReduceMin<keepdims=0>(d, axes)", np.inf, {"axes": np.asarray([2, 3])}),
    "largest few": ("f = Reshape(d, flat) r, i = TopK(f, k)", -np.inf, {"flat": np.asarray([0, -1]), "k": np.asarray([3])}),
    "pool": ("p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(d) r = Flatten(p)", -np.inf, {}),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_masked_maximum_becomes_integer(tmp_path: Path, end: str) -> None:
    body, infinity, more = ENDS[end]
    weights: dict[str, Array] = {"w": normal(4, 3, 1, 1), "m": MASK, "inf": np.asarray(infinity, np.float32), **more}
    text = f"g (float[n,3,8,8] x) => (float[n,k] y) {{ c = Conv(x, w) d = Where(m, inf, c) {body} y = Relu(r) }}"
    feeds = [{"x": normal(1, 3, 8, 8, seed=seed) + 1} for seed in range(12)]
    result = quantize_graph(tmp_path, text, weights, feeds)
    assert not result.quantized.plan.float_nodes
    result.assert_exact()
    assert result.sqnr_db() > 25


@pytest.mark.parametrize("outputs", ["float[n,3] y, float[n,3,8,8] d", "float[n,3] y, float[n,3,8,8] e"])
def test_what_is_read_elsewhere_keeps_its_infinities(tmp_path: Path, outputs: str) -> None:
    text = f"g (float[n,3,8,8] x) => ({outputs}) {{ d = Where(m, inf, x) y = ReduceMax<keepdims=0>(d, axes) e = Exp(d) }}"
    weights = {"m": MASK, "inf": np.asarray(-np.inf, np.float32), "axes": np.asarray([2, 3])}
    graph = pipeline.load_prepared(write_model(tmp_path / "m.onnx", text, weights)).ir.graph
    (choice,) = (node for node in graph if node.op_type == "Where")
    array = const_array(choice.inputs[1])
    assert array is not None and np.isneginf(array).all()

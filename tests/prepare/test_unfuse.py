"""Models that onnxruntime's optimizer saved compute the same when they are taken apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from qconv import pipeline
from tests.lower.harness import Array, Given, normal, write_model

TAILS = {
    "relu": "y = Relu(c)",
    "leaky": "y = LeakyRelu<alpha=0.2>(c)",
    "clip": "y = Clip(c, lo, hi)",
    "sigmoid": "y = Sigmoid(c)",
    "hard": "y = HardSigmoid<alpha=0.3, beta=0.4>(c)",
}
BOUNDS = {"lo": np.asarray(-0.5, np.float32), "hi": np.asarray(1, np.float32)}


def optimized(folder: Path, text: str, weights: dict[str, Array]) -> Path:
    """What onnxruntime saves of a model at its second level."""
    path = write_model(folder / "m.onnx", text, weights)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / "saved.onnx")
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return folder / "saved.onnx"


@pytest.mark.parametrize("layer", ["Conv", "Gemm"])
@pytest.mark.parametrize("tail", TAILS)
def test_a_fused_layer_is_taken_apart(tmp_path: Path, layer: str, tail: str) -> None:
    shapes = ("1,3,6,6", "1,4,4,4") if layer == "Conv" else ("2,3", "2,4")
    weight = normal(4, 3, 3, 3) if layer == "Conv" else normal(3, 4)
    text = f"g (float[{shapes[0]}] x) => (float[{shapes[1]}] y) {{ c = {layer}(x, w, b) {TAILS[tail]} }}"
    path = optimized(tmp_path, text, {"w": weight, "b": normal(4), **BOUNDS})
    saved = {node.op_type for node in onnx.load(path).graph.node}
    loaded = pipeline.load_prepared(path)
    assert not any(node.op_type.startswith("Fused") for node in loaded.ir.graph), saved
    feeds = [{"x": normal(*map(int, shapes[0].split(",")), seed=i)} for i in range(2)]
    assert pipeline.self_check(loaded, Given(feeds)) < 1e-5
    result = pipeline.quantize(path, pipeline.calibrate(loaded, Given(feeds)))
    assert not result.plan.float_nodes

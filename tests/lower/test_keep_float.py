"""A layer that is excluded computes with its float weights, in the graph that onnxruntime makes of ours too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from qconv.config import QuantConfig
from qconv.model.session import open_session
from tests.lower.harness import Array, normal, quantize_graph

V = normal(6, 4, 3, 3, seed=1)
V *= np.geomspace(0.01, 1, 6, dtype=np.float32).reshape(-1, 1, 1, 1)  # one scale for all channels would show
PADS = "<pads=[1,1,1,1]>"
PICTURES: dict[str, tuple[str, dict[str, Array]]] = {
    "conv": (f"b = Conv{PADS}(a, v)", {"v": V}),
    "conv with a bias": (f"b = Conv{PADS}(a, v, s)", {"v": V, "s": normal(6)}),
    "conv and relu": (f"t = Conv{PADS}(a, v) b = Relu(t)", {"v": V}),
    "transposed": (f"b = ConvTranspose{PADS}(a, v)", {"v": np.ascontiguousarray(V.transpose(1, 0, 2, 3))}),
}


def optimized_ops(model: ir.Model, folder: Path) -> list[str]:
    """What onnxruntime runs."""
    path = folder / "optimized.onnx"
    open_session(model, optimized_path=path)
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize("case", PICTURES)
def test_a_single_layer_stays_in_float(tmp_path: Path, case: str) -> None:
    body, weights = PICTURES[case]
    text = f"g (float[1,3,8,8] x) => (float[1,2,8,8] y) {{ a = Conv{PADS}(x, w) {body} y = Conv{PADS}(b, u) }}"
    feeds = [{"x": normal(1, 3, 8, 8, seed=i)} for i in range(3)]
    config = QuantConfig(exclude=("convtranspose1" if case == "transposed" else "conv1",))
    result = quantize_graph(
        tmp_path, text, {"w": normal(4, 3, 3, 3), "u": normal(2, 6, 3, 3, seed=2), **weights}, feeds, config=config
    )
    found = optimized_ops(result.quantized.model, tmp_path)
    assert sum(op == "QLinearConv" for op in found) == 2, found
    assert {"Conv", "FusedConv", "ConvTranspose"} & set(found), found
    assert "LeakyRelu" not in found or case == "transposed", found
    result.assert_exact()


@pytest.mark.parametrize("op", ["Gemm", "MatMul"])
def test_a_single_matrix_stays_in_float(tmp_path: Path, op: str) -> None:
    weights = {
        "w": normal(8, 8),
        "v": normal(8, 8, seed=1) * np.geomspace(0.01, 1, 8, dtype=np.float32),
        "u": normal(8, 4, seed=2),
    }
    text = f"g (float[4,8] x) => (float[4,4] y) {{ a = Gemm(x, w) b = {op}(a, v) y = Gemm(b, u) }}"
    feeds = [{"x": normal(4, 8, seed=i)} for i in range(3)]
    result = quantize_graph(tmp_path, text, weights, feeds, config=QuantConfig(exclude=(f"{op.lower()}1",)))
    found = optimized_ops(result.quantized.model, tmp_path)
    assert {"Gemm", "FusedGemm", "MatMul"} & set(found), found
    result.assert_exact()

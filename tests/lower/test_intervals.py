"""The interval of a certificate is that of the weights and biases which stand in the model, recomputed from them alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv.config import QuantConfig
from qconv.model.graph import const_array
from tests.lower.harness import Array, normal, quantize_graph

IMAGE = "g (float[1,4,6,6] x) => (float[A,B,C,D] y)"
FORMS: list[tuple[str, dict[str, Array], tuple[int, ...], tuple[int, ...]]] = [
    (f"{IMAGE} {{ y = Conv(x, w, b) }}", {"w": normal(8, 4, 3, 3), "b": normal(8, scale=9.0)}, (1, 4, 6, 6), (1, 2, 3)),
    (f"{IMAGE} {{ y = Conv<group=2>(x, w) }}", {"w": normal(8, 2, 3, 3)}, (1, 4, 6, 6), (1, 2, 3)),
    (
        f"{IMAGE} {{ y = ConvTranspose<strides=[2,2]>(x, w, b) }}",
        {"w": normal(4, 3, 2, 2), "b": normal(3)},
        (1, 4, 6, 6),
        (1, 2, 3),
    ),
    ("g (float[N,12] x) => (float[N,7] y) { y = Gemm(x, w, b) }", {"w": normal(12, 7), "b": normal(7)}, (3, 12), (0,)),
    ("g (float[N,12] x) => (float[N,7] y) { y = Gemm<transB=1>(x, w) }", {"w": normal(7, 12)}, (3, 12), (1,)),
    ("g (float[N,12] x) => (float[N,7] y) { y = MatMul(x, w) }", {"w": normal(12, 7)}, (3, 12), (0,)),
]
_PLACES = {"QLinearConv": (2, 3, 8), "QGemm": (2, 3, 6), "QLinearMatMul": (2, 3, 99)}  # zero point of x, weight, bias


@pytest.mark.parametrize("per_tensor", [False, True])
@pytest.mark.parametrize(("text", "weights", "shape", "summed"), FORMS)
def test_the_interval_is_that_of_the_emitted_codes(
    text: str, weights: dict[str, Array], shape: tuple[int, ...], summed: tuple[int, ...], per_tensor: bool, tmp_path: Path
) -> None:
    feeds = [{"x": normal(*shape, seed=i) + np.float32(0.5)} for i in range(4)]
    result = quantize_graph(tmp_path, text, weights, feeds, config=QuantConfig(per_tensor=per_tensor))
    node = next(n for n in result.quantized.model.graph if n.op_type in _PLACES)
    at_zero, at_weight, at_bias = _PLACES[node.op_type]
    zero, codes = const_array(node.inputs[at_zero]), const_array(node.inputs[at_weight])
    assert zero is not None and codes is not None
    bias = const_array(node.inputs[at_bias]) if at_bias < len(node.inputs) else None
    ends = [codes.astype(np.int64) * (q - int(zero)) for q in (0, 255)]
    moved = np.zeros(1, np.int64) if bias is None else bias.astype(np.int64)
    low = int((np.minimum(*ends).sum(axis=summed) + moved).min())
    high = int((np.maximum(*ends).sum(axis=summed) + moved).max())
    (certificate,) = result.quantized.lowering.certificates.values()
    assert (certificate.low, certificate.high) == (low, high)


def test_the_interval_of_two_activations_is_that_of_their_one_sided_codes(tmp_path: Path) -> None:
    text = "g (float[2,4,8] a, float[2,8,4] b) => (float[2,4,4] y) { y = MatMul(a, b) }"
    feeds = [{"a": np.abs(normal(2, 4, 8, seed=i)), "b": -np.abs(normal(2, 8, 4, seed=i + 9))} for i in range(4)]
    (certificate,) = quantize_graph(tmp_path, text, {}, feeds).quantized.lowering.certificates.values()
    assert (certificate.low, certificate.high, certificate.proved) == (-8 * 255 * 255, 0, 1)


def test_two_activations_of_unknown_inner_size_are_not_called_proved(tmp_path: Path) -> None:
    text = "g (float[4,K] a, float[K,4] b) => (float[4,4] y) { y = MatMul(a, b) }"
    feeds = [{"a": normal(4, 8, seed=i), "b": normal(8, 4, seed=i + 9)} for i in range(4)]
    (certificate,) = quantize_graph(tmp_path, text, {}, feeds).quantized.lowering.certificates.values()
    assert (certificate.proved, certificate.scales) == (0, 1)
    assert "int32" in certificate.why

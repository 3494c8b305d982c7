"""The interval of a certificate is that of the weights and biases which stand in the model, recomputed from them alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.errors import ArtifactError
from qconv.model.graph import const_array
from qconv.quant.types import QuantParams
from tests.lower.harness import Array, Given, normal, quantize_graph, write_model

WHOLE = QuantConfig(integer_only=True)  # also where an output lies far from zero
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
    ("g (float[2,N,12] x) => (float[2,N,7] y) { y = MatMul(x, w) }", {"w": normal(12, 7)}, (2, 3, 12), (0,)),
    ("g (float[2,N,12] x) => (float[2,N,7] y) { y = MatMul(x, w) }", {"w": normal(2, 12, 7)}, (2, 3, 12), (1,)),
    (
        "g (float[2,N,12] x) => (float[2,N,7] y) { m = MatMul(x, w) y = Add(m, b) }",
        {"w": normal(12, 7), "b": normal(7, scale=9.0)},
        (2, 3, 12),
        (0,),
    ),
    (
        f"{IMAGE} {{ y = ConvTranspose<strides=[2,2], group=2>(x, w, b) }}",
        {"w": normal(4, 3, 2, 2), "b": normal(6)},
        (1, 4, 6, 6),
        (1, 2, 3),
    ),
    (f"{IMAGE} {{ y = Conv<group=4>(x, w, b) }}", {"w": normal(8, 1, 3, 3), "b": normal(8)}, (1, 4, 6, 6), (1, 2, 3)),
    (f"{IMAGE} {{ y = Conv<dilations=[2,2]>(x, w) }}", {"w": normal(8, 4, 2, 2)}, (1, 4, 6, 6), (1, 2, 3)),
    (f"{IMAGE} {{ y = AveragePool<kernel_shape=[3,3]>(x) }}", {}, (1, 4, 6, 6), (1, 2, 3)),
]
_PLACES = {"QLinearConv": (2, 3, 8), "QGemm": (2, 3, 6), "QLinearMatMul": (2, 3, 99)}  # zero point of x, weight, bias


def _interval(model: ir.Model, summed: tuple[int, ...]) -> tuple[int, int]:
    """The least and the greatest accumulator of the only layer, from its weights and biases and the zero point of its input."""
    node = next(n for n in model.graph if n.op_type in _PLACES)
    at_zero, at_weight, at_bias = _PLACES[node.op_type]
    zero, codes = const_array(node.inputs[at_zero]), const_array(node.inputs[at_weight])
    assert zero is not None and codes is not None
    bias = const_array(node.inputs[at_bias]) if at_bias < len(node.inputs) else None
    ends = [codes.astype(np.int64) * (q - int(zero)) for q in (0, 255)]
    moved = np.zeros(1, np.int64) if bias is None else bias.astype(np.int64)
    least, greatest = (np.minimum(*ends).sum(axis=summed) + moved).min(), (np.maximum(*ends).sum(axis=summed) + moved).max()
    return int(least), int(greatest)


@pytest.mark.parametrize("per_tensor", [False, True])
@pytest.mark.parametrize(("text", "weights", "shape", "summed"), FORMS)
def test_the_interval_is_that_of_the_emitted_codes(
    text: str, weights: dict[str, Array], shape: tuple[int, ...], summed: tuple[int, ...], per_tensor: bool, tmp_path: Path
) -> None:
    feeds = [{"x": normal(*shape, seed=i) + np.float32(0.5)} for i in range(4)]
    result = quantize_graph(tmp_path, text, weights, feeds, config=QuantConfig(per_tensor=per_tensor, no_tune=True))
    low, high = _interval(result.quantized.model, summed)
    (certificate,) = result.quantized.lowering.program.certificates.values()
    assert (certificate.low, certificate.high) == (low, high)


def test_the_interval_of_recovered_weights_is_that_of_their_codes(tmp_path: Path) -> None:
    """Recovery chooses other codes and another bias, to which the proof belongs."""
    text = f"{IMAGE} {{ y = Conv(x, w, b) }}"
    config = QuantConfig(weight_bits=4)
    feeds = [{"x": np.cumsum(normal(1, 4, 6, 6, seed=i), axis=3, dtype=np.float32)} for i in range(24)]
    path = write_model(tmp_path / "m.onnx", text, {"w": normal(8, 4, 3, 3), "b": normal(8)})
    calibration = pipeline.calibrate(path, Given(feeds), config=config)
    recovered = pipeline.quantize(path, calibration, config=config, samples=Given(feeds))
    assert "w" in recovered.plan.weight_codes  # otherwise this test shows nothing
    (certificate,) = recovered.lowering.program.certificates.values()
    assert (certificate.low, certificate.high) == _interval(recovered.model, (1, 2, 3))


@pytest.mark.parametrize("size", [4, 6])
def test_the_interval_of_a_mean_is_that_of_its_map(tmp_path: Path, size: int) -> None:
    text = f"g (float[1,4,{size},6] x) => (float[1,4,1,1] y) {{ y = GlobalAveragePool(x) }}"
    quantized = quantize_graph(tmp_path, text, {}, [{"x": normal(1, 4, size, 6) + np.float32(0.5)}]).quantized
    zero = int(quantized.plan.tensors["x"].zero_point)
    (certificate,) = quantized.lowering.program.certificates.values()
    assert (certificate.low, certificate.high) == (-zero * size * 6, (255 - zero) * size * 6)


def test_the_interval_of_two_activations_is_that_of_their_one_sided_codes(tmp_path: Path) -> None:
    text = "g (float[2,4,8] a, float[2,8,4] b) => (float[2,4,4] y) { y = MatMul(a, b) }"
    feeds = [{"a": np.abs(normal(2, 4, 8, seed=i)), "b": -np.abs(normal(2, 8, 4, seed=i + 9))} for i in range(4)]
    (certificate,) = quantize_graph(tmp_path, text, {}, feeds).quantized.lowering.program.certificates.values()
    assert (certificate.low, certificate.high, certificate.proved) == (-8 * 255 * 255, 0, 1)


@pytest.mark.parametrize(("size", "many"), [("K", "an unknown number of"), ("33026", "33,026")])
def test_two_activations_whose_sums_may_leave_int32_stay_in_float(tmp_path: Path, size: str, many: str) -> None:
    text = f"g (float[1,{size}] a, float[{size},2] b) => (float[1,2] y) {{ y = MatMul(a, b) }}"
    inner = 8 if size == "K" else int(size)
    feeds = [{"a": normal(1, inner, seed=i), "b": normal(inner, 2, seed=i + 9)} for i in range(2)]
    (reason,) = quantize_graph(tmp_path, text, {}, feeds).quantized.plan.float_nodes.values()
    assert many in reason and "int32" in reason


def test_the_longest_sums_of_two_activations_just_fit(tmp_path: Path) -> None:
    text = "g (float[1,33025] a, float[33025,2] b) => (float[1,2] y) { y = MatMul(a, b) }"
    feeds = [{"a": np.abs(normal(1, 33025, seed=i)), "b": np.abs(normal(33025, 2, seed=i + 9))} for i in range(2)]
    result = quantize_graph(tmp_path, text, {}, feeds, config=WHOLE)
    (certificate,) = result.quantized.lowering.program.certificates.values()
    assert (certificate.low, certificate.high) == (0, 33025 * 255 * 255)
    assert certificate.high < 2**31 <= 33026 * 255 * 255


@pytest.mark.parametrize(("size", "longest"), [("K", 16_000_000), ("40000", 40_000)])
def test_rows_of_probabilities_sum_to_one_however_long_they_are(tmp_path: Path, size: str, longest: int) -> None:
    """As an output of their own, they are probabilities of 8 bits."""
    given, made = f"float[1,{size}] a, float[{size},2] b", f"float[1,2] y, float[1,{size}] p"
    text = f"g ({given}) => ({made}) {{ p = Softmax<axis=-1>(a) y = MatMul(p, b) }}"
    inner = 8 if size == "K" else int(size)
    feeds = [{"a": normal(1, inner, seed=i), "b": np.abs(normal(inner, 2, seed=i + 9))} for i in range(2)]
    result = quantize_graph(tmp_path, text, {}, feeds, config=WHOLE)
    certificate = result.quantized.lowering.program.certificates["matmul1"]
    assert (certificate.low, certificate.proved, certificate.why) == (0, 1, "")
    # 1 / S of the probabilities is at least 255, and every rounding adds at most a half
    assert 255 * (255 + longest // 2) <= certificate.high < 2**31
    result.assert_exact()


@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_a_plan_under_which_accumulators_leave_int32_is_refused(tmp_path: Path, bias: float) -> None:
    """By the codes of a bias, where a scale is too small; or by 140,000 codes of 64, the largest that are safe in pairs."""
    text = "g (float[1,140000] x) => (float[1,1] y) { y = Gemm(x, w, b) }"
    weights = {"w": np.ones((140_000, 1), np.float32), "b": np.full(1, bias, np.float32)}
    feeds = [{"x": np.abs(normal(1, 140_000, seed=i))} for i in range(2)]
    plan = quantize_graph(tmp_path, text, weights, feeds).quantized.plan
    small = 1 / 127 if bias == 0.0 else 1e-9
    w = plan.tensors["w"]
    edited = replace(
        plan, tensors={**plan.tensors, "w": QuantParams(np.full(1, small, np.float32), np.zeros(1), w.int_type, w.axis)}
    )
    with pytest.raises(ArtifactError, match="int32"):
        quantize_graph(tmp_path, text, weights, feeds, plan=edited)

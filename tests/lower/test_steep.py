"""Functions that 8 bits of their input cannot follow, and what leads to them, in wide integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv.config import QuantConfig
from tests.lower.harness import Array, normal, quantize_graph

_TWO, _FLOOR = np.asarray(2.0, np.float32), np.asarray(1e-5, np.float32)


def _quiet_and_loud(*shape: int, count: int = 12) -> list[dict[str, Array]]:
    """Noise, some of it ten times louder than other."""
    return [{"x": normal(*shape, seed=seed, scale=10.0 ** (-(seed % 5) / 4))} for seed in range(count)]


_SQUARES = {
    "a product of itself": "s = Mul(x, x)",
    "a power": "s = Pow(x, two)",
}


@pytest.mark.parametrize("square", _SQUARES.values(), ids=_SQUARES)
def test_logarithms_of_energies(tmp_path: Path, square: str) -> None:
    bank = np.abs(normal(16, 6, seed=3)) * np.float32(10.0) ** -(np.arange(6, dtype=np.float32) / 4)
    text = f"g (float[1,8,16] x) => (float[1,8,6] y) {{ {square} m = MatMul(s, bank) e = Add(m, floor) y = Log(e) }}"
    result = quantize_graph(tmp_path, text, {"bank": bank, "two": _TWO, "floor": _FLOOR}, _quiet_and_loud(1, 8, 16))
    result.assert_exact()
    assert result.quantized.audit.integer_only
    assert result.sqnr_db() > 30


def test_log_mel_spectrum(tmp_path: Path) -> None:
    """Frames by a convolution with padding, squares, a bank of filters on the left, and a clamp before the logarithm."""
    weight, bank = normal(12, 1, 16, seed=1), np.abs(normal(5, 6, seed=2))
    cuts = {"b0": [0], "b1": [6], "b2": [12], "axis": [1]}
    text = """g (float[N,1,64] x) => (float[N,5,17] y)
        { f = Conv<strides=[4], pads=[8,8]>(x, weight, bias) r = Slice(f, b0, b1, axis) i = Slice(f, b1, b2, axis)
          p = Mul(r, r) q = Mul(i, i) s = Add(p, q) m = MatMul(bank, s) e = Clip(m, floor) y = Log(e) }"""
    weights = {"weight": weight, "bias": normal(12, seed=5, scale=0.1), "bank": bank, "floor": _FLOOR}
    weights |= {name: np.asarray(value, np.int64) for name, value in cuts.items()}
    result = quantize_graph(tmp_path, text, weights, _quiet_and_loud(2, 1, 64))
    result.assert_exact()
    assert result.quantized.audit.integer_only
    assert result.sqnr_db() > 30


def test_logarithm_of_a_sum_over_a_picture(tmp_path: Path) -> None:
    weight = normal(4, 2, 3, 3, seed=1)
    text = """g (float[1,2,9,8] x) => (float[1,4] y)
        { f = Conv<pads=[1,1,1,1], strides=[2,1], dilations=[1,2]>(x, weight) s = Mul(f, f)
          e = ReduceMean<keepdims=0>(s, axes) y = Log(e) }"""
    weights = {"weight": weight, "axes": np.asarray([2, 3], np.int64)}
    result = quantize_graph(tmp_path, text, weights, _quiet_and_loud(1, 2, 9, 8))
    result.assert_exact()
    assert result.quantized.audit.integer_only
    assert result.sqnr_db() > 30


_FUNCTIONS = {
    "Cos": (-400.0, 400.0),
    "Exp": (-40.0, 6.0),
    "Log": (0.02, 30.0),
    "Reciprocal": (0.02, 20.0),
    "Sin": (0.0, 900.0),
    "Sqrt": (0.0, 1.0),
}


@pytest.mark.parametrize("function", _FUNCTIONS)
def test_functions_of_inputs(tmp_path: Path, function: str) -> None:
    low, high = _FUNCTIONS[function]
    random = np.random.default_rng(0)
    feeds = [{"x": (low + (high - low) * random.random((4, 16)) ** 3).astype(np.float32)} for _ in range(8)]
    text = f"g (float[N,16] x) => (float[N,16] y) {{ y = {function}(x) }}"
    result = quantize_graph(tmp_path, text, {}, feeds, config=QuantConfig(integer_only=True))
    result.assert_exact()
    assert result.sqnr_db() > 26


def test_what_has_no_wide_form_stays_in_float_with_the_reason(tmp_path: Path) -> None:
    text = "g (float[N,16] x) => (float[N,16] y) { s = Mul(x, x) t = Softplus(s) u = Mul(t, t) y = Log(u) }"
    feeds = [{"x": feed["x"]} for feed in _quiet_and_loud(4, 16)]
    result = quantize_graph(tmp_path, text, {}, feeds)
    result.assert_exact()
    assert result.sqnr_db() > 25


def test_integers_alone_are_warned_of(tmp_path: Path) -> None:
    feeds = [{"x": np.exp(normal(4, 16, seed=seed, scale=4.0))} for seed in range(8)]
    text = "g (float[N,16] x) => (float[N,16] y) { y = Log(x) }"
    in_float = quantize_graph(tmp_path, text, {}, feeds)
    assert "varies faster than 8 bits" in in_float.quantized.plan.float_nodes["log0"]
    alone = quantize_graph(tmp_path, text, {}, feeds, config=QuantConfig(integer_only=True))
    assert alone.quantized.audit.integer_only
    assert [warning for warning in alone.quantized.warnings if "log0" in warning and "--exclude" in warning]


def test_a_flat_function_is_left_alone(tmp_path: Path) -> None:
    text = "g (float[N,16] x) => (float[N,16] y) { y = Exp(x) }"
    result = quantize_graph(tmp_path, text, {}, [{"x": normal(4, 16, seed=seed)} for seed in range(4)])
    assert not result.quantized.plan.steep and not result.quantized.plan.float_nodes and not result.quantized.warnings


@pytest.mark.parametrize(
    ("attributes", "sizes"),
    [
        ("kernel_shape=[2,2], strides=[2,2]", "1,4,H,W"),
        ("kernel_shape=[3,3], strides=[2,1], pads=[1,0,2,1]", "1,4,7,9"),
        ("kernel_shape=[3,2], dilations=[2,1]", "1,4,7,9"),
        ('kernel_shape=[3,3], strides=[2,2], auto_pad="SAME_UPPER"', "1,4,7,9"),
    ],
)
def test_the_root_of_squares_in_windows(attributes: str, sizes: str, tmp_path: Path) -> None:
    text = f"g (float[{sizes}] x) => (float[1,4,P,Q] y) {{ y = LpPool<{attributes}>(x) }}"
    result = quantize_graph(tmp_path, text, {}, [{"x": normal(1, 4, 7, 9, seed=seed)} for seed in (1, 2)])
    assert result.quantized.audit.integer_only
    result.assert_exact()
    assert result.sqnr_db() > 38


@pytest.mark.parametrize("integer_only", [False, True])
def test_a_quotient_by_an_exponential(tmp_path: Path, integer_only: bool) -> None:
    """8 bits of exp(x) have few codes near zero, where its reciprocal is large: what the estimate says is what is measured."""
    text = "g (float[N,16] x) => (float[N,16] y) { a = Exp(x) b = MatMul(x, w) y = Div(b, a) }"
    feeds = [{"x": normal(16, 16, seed=seed)} for seed in range(8)]
    result = quantize_graph(tmp_path, text, {"w": normal(16, 16)}, feeds, config=QuantConfig(integer_only=integer_only))
    result.assert_exact()
    assert set(result.quantized.plan.float_nodes) == (set() if integer_only else {"exp0", "div2"})
    assert len(result.quantized.warnings) == integer_only
    assert (result.sqnr_db() < 15) if integer_only else (result.sqnr_db() > 30)


@pytest.mark.parametrize("width", [1, 16])
def test_a_front_end_of_many_nodes_stays_in_float_unless_it_is_most_of_the_network(tmp_path: Path, width: int) -> None:
    bands = range(6)
    parts = " ".join(f"f{i} = MatMul(x, w{i}) s{i} = Mul(f{i}, f{i})" for i in bands)
    joined = ", ".join(f"s{i}" for i in bands)
    text = f"""g (float[1,8,16] x) => (float[1,8,{width}] y)
        {{ {parts} s = Concat<axis=-1>({joined}) e = Add(s, floor) l = Log(e) y = MatMul(l, last) }}"""
    weights = {f"w{i}": normal(16, 3, seed=i, scale=4.0**-i) for i in bands}
    weights |= {"last": normal(18, width, seed=9), "floor": np.asarray(1e-7, np.float32)}
    result = quantize_graph(tmp_path, text, weights, _quiet_and_loud(1, 8, 16))
    result.assert_exact()
    assert (result.sqnr_db() > 20) == (width == 16)
    assert any("varies faster" in reason for reason in result.quantized.plan.kept.values()) == (width == 16)


def test_equal_weights_of_layers_in_float_are_stored_once(tmp_path: Path) -> None:
    text = "g (float[1,8,32] x) => (float[1,8,32] y) { a = MatMul(x, w) b = Cos(a) y = MatMul(b, w) }"
    config = QuantConfig(exclude="*")
    result = quantize_graph(tmp_path, text, {"w": normal(32, 32)}, _quiet_and_loud(1, 8, 32), config=config)
    assert [value.shape for value in result.quantized.model.graph.initializers.values()] == [(32, 32)]


@pytest.mark.parametrize("divisor", ["d = Identity(k)", "d = Pow(k, power)"])
def test_a_divisor_that_hardly_varies_is_not_steep(tmp_path: Path, divisor: str) -> None:
    """It is off by little of itself, and so is the quotient, though its steps are all that it varies by."""
    text = (
        f"g (float[1,8,16] x) => (float[1,8,16] y) {{ s = Mul(x, x) a = Mul(s, tiny) k = Add(a, one) {divisor} y = Div(x, d) }}"
    )
    weights = {"tiny": np.asarray(1e-4, np.float32), "one": np.asarray(1.0, np.float32), "power": np.asarray(0.75, np.float32)}
    result = quantize_graph(tmp_path, text, weights, _quiet_and_loud(1, 8, 16))
    result.assert_exact()
    assert result.quantized.audit.integer_only and not result.quantized.plan.steep
    assert result.sqnr_db() > 30

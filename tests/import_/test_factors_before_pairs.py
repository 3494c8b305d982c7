"""A factor in front of a QuantizeLinear, as smoothing and hardware-like averages write it, costs no scale and no weight code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.pipeline.quantize import Quantized
from tests.import_.test_import import outputs, quantized_graph
from tests.lower.harness import Array, normal

ROWS, WIDTH = 6, 8


def _smoothed(before: str, factor: Array) -> onnx.ModelProto:
    """x, a norm or a GELU, a factor, a pair, and a product with a weight of codes."""
    first = {
        "norm": helper.make_node("LayerNormalization", ["x", "gain", "shift"], ["a"], axis=-1),
        "gate": helper.make_node("Gelu", ["x"], ["a"]),
        "input": helper.make_node("Identity", ["x"], ["a"]),
    }[before]
    nodes = [
        first,
        helper.make_node("Mul", ["a", "factor"], ["m"]),
        helper.make_node("QuantizeLinear", ["m", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["codes", "sw", "zw"], ["w"], axis=1),
        helper.make_node("MatMul", ["d", "w"], ["y"]),
    ]
    rng = np.random.default_rng(3)
    constants: dict[str, Array] = {
        "factor": factor, "gain": normal(WIDTH, seed=1), "shift": normal(WIDTH, seed=2),
        "s": np.asarray(0.03, np.float32), "z": np.asarray(-4, np.int8),
        "codes": rng.integers(-127, 128, (WIDTH, WIDTH)).astype(np.int8), "sw": rng.uniform(0.01, 0.02, WIDTH).astype(np.float32),
        "zw": np.zeros(WIDTH, np.int8),
    }  # fmt: skip
    return quantized_graph(nodes, constants, TensorProto.FLOAT, TensorProto.FLOAT, [ROWS, WIDTH])


def _converted(model: onnx.ModelProto, folder: Path) -> Quantized:
    onnx.save(model, folder / "m.onnx")
    config = QuantConfig(target="x86-vnni")  # the target that takes every weight code
    samples = np.stack([normal(ROWS, WIDTH, seed=seed) for seed in range(40)])
    return pipeline.quantize(folder / "m.onnx", samples={"x": samples.reshape(-1, WIDTH)}, config=config)


@pytest.mark.parametrize("before", ["norm", "gate", "input"])
@pytest.mark.parametrize("kind", ["channels", "number", "one"])
def test_the_scale_and_the_weight_behind_a_factor_are_used(before: str, kind: str, tmp_path: Path) -> None:
    numbers = {"channels": np.geomspace(0.3, 3, WIDTH), "number": np.full(1, 0.7), "one": np.ones(1)}[kind]
    result = _converted(_smoothed(before, numbers.astype(np.float32)), tmp_path)
    assert result.audit.integer_only
    assert result.imported[0].startswith("used 2 of 2 scales that were given")
    result.save(tmp_path / "m.int8.onnx")
    feeds = [{"x": normal(ROWS, WIDTH, seed=seed)} for seed in range(200, 204)]
    mine, theirs = (np.stack(outputs(tmp_path / name, feeds)) for name in ("m.int8.onnx", "m.onnx"))
    noise = np.square(mine - theirs).mean() / np.square(theirs).mean()
    assert noise < 1e-3  # what comes before the pair has 8 bits here and 24 there: 30 dB


@pytest.mark.parametrize("written_out", ["hardswish", "gelu"])
def test_a_function_with_scales_inside_is_rounded_there(written_out: str, tmp_path: Path) -> None:
    """Recognised as one function it would be finer than the model that was given, and differ from it."""

    def pair(x: str, scale: str) -> list[onnx.NodeProto]:
        return [
            helper.make_node("QuantizeLinear", [x, scale, "zero"], [f"{x}_codes"]),
            helper.make_node("DequantizeLinear", [f"{x}_codes", scale, "zero"], [f"{x}_real"]),
        ]

    inner = {
        "hardswish": [
            helper.make_node("HardSigmoid", ["x_real"], ["g"], alpha=1 / 6),
            *pair("g", "coarse"),
            helper.make_node("Mul", ["x_real", "g_real"], ["m"]),
        ],
        "gelu": [
            helper.make_node("Mul", ["x_real", "root"], ["u"]),
            helper.make_node("Erf", ["u"], ["g"]),
            *pair("g", "coarse"),
            helper.make_node("Add", ["g_real", "one"], ["h"]),
            *pair("h", "coarse"),
            helper.make_node("Mul", ["x_real", "h_real"], ["k"]),
            *pair("k", "s"),
            helper.make_node("Mul", ["k_real", "half"], ["m"]),
        ],
    }[written_out]
    nodes = [*pair("x", "s"), *inner, *pair("m", "s")]
    nodes[-1].output[0] = "y"
    constants = {
        "s": 0.0313, "coarse": 0.0237, "root": 0.5**0.5, "one": 1.0, "half": 0.5
    }  # fmt: skip
    arrays: dict[str, Array] = {name: np.asarray(number, np.float32) for name, number in constants.items()}
    arrays["zero"] = np.asarray(0, np.int8)
    result = _converted(quantized_graph(nodes, arrays, TensorProto.FLOAT, TensorProto.FLOAT, [ROWS, WIDTH]), tmp_path)
    assert result.audit.integer_only
    result.save(tmp_path / "m.int8.onnx")
    feeds = [{"x": normal(ROWS, WIDTH, seed=seed)} for seed in range(50)]
    mine, theirs = (np.stack(outputs(tmp_path / name, feeds)) for name in ("m.int8.onnx", "m.onnx"))
    assert np.abs(np.rint((mine - theirs) / 0.0313)).max() <= 1
    assert (np.rint(mine / 0.0313) != np.rint(theirs / 0.0313)).mean() < 0.01  # ties that float32 rounds the other way

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

"""Activations with a step for each channel, as NNCF gives them in front of depthwise layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from qconv import pipeline
from qconv.config import QuantConfig
from tests.import_.test_import import outputs, quantized_graph
from tests.lower.harness import Array, normal

CHANNELS = 8
STEPS = np.geomspace(0.002, 0.06, CHANNELS).astype(np.float32)
BETWEEN = {
    "relu": [helper.make_node("Relu", ["c"], ["a"])],
    "clip": [helper.make_node("Clip", ["c", "low", "high"], ["a"])],
    "pool": [helper.make_node("Relu", ["c"], ["r"]), helper.make_node("MaxPool", ["r"], ["a"], kernel_shape=[2, 2])],
    "none": [helper.make_node("Identity", ["c"], ["a"])],
}


def _pair(x: str, step: str, zero: str, name: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [x, step, zero], [f"{name}_q"]),
        helper.make_node("DequantizeLinear", [f"{name}_q", step, zero], [name]),
    ]


def _network(between: str, zero: int, group: int = CHANNELS, *, padded: bool = False) -> onnx.ModelProto:
    """A convolution, what lies between, a pair with a step for each channel, a depthwise convolution; weights are codes."""
    rng = np.random.default_rng(4)
    nodes = [
        *_pair("x", "sx", "zx", "xr"),
        helper.make_node("DequantizeLinear", ["wq", "sw", "zw"], ["w"], axis=0),
        helper.make_node("Conv", ["xr", "w", "b"], ["c"]),
        *BETWEEN[between],
        *_pair("a", "steps", "zeros", "ar"),
        helper.make_node("DequantizeLinear", ["vq", "sv", "zw"], ["v"], axis=0),
        *([helper.make_node("Pad", ["ar", "pads"], ["p"])] if padded else []),
        helper.make_node("Conv", ["p" if padded else "ar", "v"], ["d"], group=group, pads=[0 if padded else 1] * 4),
        *_pair("d", "sd", "zx", "y"),
    ]
    constants: dict[str, Array] = {
        "sx": np.asarray(0.03, np.float32), "zx": np.asarray(128, np.uint8), "sd": np.asarray(0.05, np.float32), "steps": STEPS,
        "pads": np.asarray([0, 0, 1, 1] * 2), "zeros": np.full(CHANNELS, zero, np.uint8), "low": np.asarray(0, np.float32),
        "high": np.asarray(255.2 * STEPS[-1], np.float32),
        "wq": rng.integers(-127, 128, (CHANNELS, 3, 1, 1)).astype(np.int8), "sw": (STEPS / 3).astype(np.float32),
        "vq": rng.integers(-127, 128, (CHANNELS, CHANNELS // group, 3, 3)).astype(np.int8),
        "sv": (1e-4 / STEPS).astype(np.float32), "zw": np.zeros(CHANNELS, np.int8), "b": 5 * STEPS,
    }  # fmt: skip
    return quantized_graph(nodes, constants, TensorProto.FLOAT, TensorProto.FLOAT, [1, 3, 6, 6])


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("between", "zero"), [("relu", 0), ("clip", 0), ("pool", 0), ("none", 120)])
def test_all_scales_are_used_and_codes_differ_at_ties_only(between: str, zero: int, padded: bool, tmp_path: Path) -> None:
    onnx.save(_network(between, zero, padded=padded), tmp_path / "m.onnx")
    result = pipeline.quantize(tmp_path / "m.onnx", samples={"x": normal(20, 3, 6, 6)}, config=QuantConfig(target="x86-vnni"))
    assert result.audit.integer_only
    assert result.imported == ("used 5 of 5 scales that were given",)
    result.save(tmp_path / "m.int8.onnx")
    feeds = [{"x": normal(1, 3, 6, 6, seed=seed)} for seed in range(200, 220)]
    mine, theirs = (np.stack(outputs(tmp_path / name, feeds)) for name in ("m.int8.onnx", "m.onnx"))
    differing = np.abs(np.rint((mine - theirs) / 0.05))
    assert differing.max() <= 1 and np.mean(differing > 0) < 0.02  # float32 rounds products before their sum, integers do not


@pytest.mark.parametrize("op", ["Mul", "Add"])
def test_what_follows_a_pair_stays_behind_it(op: str, tmp_path: Path) -> None:
    """Folded into the layer in front of the pair, the map would be rounded with a step that is for something else."""
    nodes = [
        *_pair("x", "s", "z", "xr"),
        helper.make_node("DequantizeLinear", ["wq", "sw", "zw"], ["w"], axis=0),
        helper.make_node("Conv", ["xr", "w"], ["c"]),
        *_pair("c", "coarse", "z", "cr"),
        helper.make_node(op, ["cr", "each"], ["d"]),
        *_pair("d", "fine", "z", "y"),
    ]
    constants: dict[str, Array] = {
        "s": np.asarray(0.03, np.float32), "z": np.asarray(128, np.uint8), "coarse": np.asarray(0.5, np.float32),
        "fine": np.asarray(0.02, np.float32), "each": np.linspace(0.1, 0.2, CHANNELS).reshape(-1, 1, 1).astype(np.float32),
        "wq": np.random.default_rng(4).integers(-127, 128, (CHANNELS, 3, 1, 1)).astype(np.int8),
        "sw": np.full(CHANNELS, 0.02, np.float32), "zw": np.zeros(CHANNELS, np.int8),
    }  # fmt: skip
    onnx.save(quantized_graph(nodes, constants, TensorProto.FLOAT, TensorProto.FLOAT, [1, 3, 6, 6]), tmp_path / "m.onnx")
    result = pipeline.quantize(tmp_path / "m.onnx", samples={"x": normal(20, 3, 6, 6)}, config=QuantConfig(target="x86-vnni"))
    assert result.audit.integer_only
    result.save(tmp_path / "m.int8.onnx")
    feeds = [{"x": normal(1, 3, 6, 6, seed=seed)} for seed in range(200, 220)]
    mine, theirs = (np.stack(outputs(tmp_path / name, feeds)) for name in ("m.int8.onnx", "m.onnx"))
    differing = np.abs(np.rint((mine - theirs) / 0.02))
    assert np.mean(differing > 1) < 0.01  # where the coarse codes are the same, and they differ at ties only


def test_readers_that_sum_over_channels_ask_for_one_step(tmp_path: Path) -> None:
    onnx.save(_network("relu", 0, group=1), tmp_path / "m.onnx")
    result = pipeline.quantize(tmp_path / "m.onnx", samples={"x": normal(20, 3, 6, 6)}, config=QuantConfig(target="x86-vnni"))
    assert any("a scale for each channel, and are calibrated for one" in note for note in result.imported)

"""Weights of few bits as bit planes: what onnxruntime makes of them, and what we read, are the codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from qconv import pipeline
from qconv.config import QuantConfig, Rule
from qconv.integer.execution.executor import Executor
from qconv.integer.language.spec import check
from qconv.integer.program import Program
from qconv.model import bit_planes
from qconv.model.load import load
from qconv.model.session import open_session
from qconv.quant.level_sets import KINDS, Kind
from qconv.verify.verify import audit_optimized
from tests.lower.harness import Given, normal, write_model

TEXT = "g (float[1,32,8,8] x) => (float[1,64,4,4] y) { a = Conv(x, w) r = Relu(a) y = Conv(r, v) }"
WEIGHTS = {"w": normal(32, 32, 3, 3), "v": normal(64, 32, 3, 3, seed=1)}
FEEDS = [{"x": normal(1, 32, 8, 8, seed=seed)} for seed in range(3)]
_VALUES = {"powers": 15, "two-powers": 57, "ternary": 3, "binary": 2, "codebook": 32}


@pytest.mark.parametrize("count", [2, 3, 5, 8, 16, 33, 64])
@pytest.mark.parametrize("shape", [(7,), (5, 3, 3, 3), (8, 8)])
def test_planes_are_the_codes(count: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(count)
    codes = rng.choice(rng.choice(np.arange(-128, 128), count, replace=False), shape).astype(np.int8)
    planes, levels = bit_planes.planes_of(codes)
    assert len(planes) == bit_planes.bits_for(codes) <= max(1, int(count - 1).bit_length())
    again = bit_planes.codes_of(planes, levels, np.asarray(shape, np.int64))
    assert again.dtype == np.int8
    assert np.array_equal(again, codes)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("auto", "uniform")])
def test_the_file_of_a_level_set_is_the_model(kind: Kind, tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", TEXT, WEIGHTS)
    calibration = pipeline.calibrate(path, Given(FEEDS))
    result = pipeline.quantize(path, calibration, config=QuantConfig(levels=kind, weight_bits=5), samples=Given(FEEDS))
    result.save(tmp_path / "m.int.onnx")
    proto = onnx.load(tmp_path / "m.int.onnx")
    assert [node.op_type for node in proto.graph.node].count("Unpack") == 2
    assert all(len(np.unique(result.plan.weight_codes[name])) <= _VALUES[kind] for name in ("w", "v"))
    again = load(tmp_path / "m.int.onnx").ir
    assert check(again) == []
    assert len(again.functions) == 0
    session, ours, read = (
        open_session(tmp_path / "m.int.onnx"),
        Executor(Program.read(result.model)),
        Executor(Program.read(again)),
    )
    for feed in FEEDS:
        expected = ours.run(feed)["y"]
        assert np.array_equal(session.run(None, feed)[0], expected)
        assert np.array_equal(read.run(feed)["y"], expected)
    folded = audit_optimized(tmp_path / "m.int.onnx")
    assert not {"Unpack", "Gather", "BitShift", "ReduceSum"} & set(folded.integer)
    assert folded.float_nodes == ()


def test_rules_choose_levels_for_parts(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", TEXT, WEIGHTS)
    config = QuantConfig(rules=(Rule("conv0", levels="ternary"), Rule("conv2", weight_bits=6)))
    result = pipeline.quantize(path, pipeline.calibrate(path, Given(FEEDS)), config=config)
    assert set(np.unique(result.plan.weight_codes["w"])) == {-64, 0, 64}
    assert "v" not in result.plan.weight_codes


def test_a_channel_of_small_weights_keeps_room_for_its_bias(tmp_path: Path) -> None:
    text = "g (float[1,32,8,8] x) => (float[1,32,6,6] y) { y = Conv(x, w, b) }"
    weights = {"w": WEIGHTS["w"].copy(), "b": normal(32, seed=2)}
    weights["w"][3] *= np.float32(1e-7)
    path = write_model(tmp_path / "m.onnx", text, weights)
    calibration = pipeline.calibrate(path, Given(FEEDS))
    for kind in (kind for kind in KINDS if kind not in ("auto", "uniform")):
        result = pipeline.quantize(path, calibration, config=QuantConfig(levels=kind, weight_bits=4), samples=Given(FEEDS))
        assert all(c.proved == c.scales for c in result.lowering.program.certificates.values())

"""Weights of few bits take half a byte in the file, and everything that reads the file sees int8 as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from qconv import pipeline
from qconv.config import QuantConfig, Rule
from qconv.integer.execution.executor import Executor
from qconv.integer.language.audit import audit
from qconv.integer.language.spec import check
from qconv.integer.program import Program
from qconv.model.load import load
from qconv.model.packed import packed
from qconv.model.session import open_session
from qconv.verify.verify import audit_optimized
from tests.lower.harness import Given, normal, write_model

TEXT = "g (float[1,8,8,8] x) => (float[1,16,4,4] y) { a = Conv(x, w) r = Relu(a) y = Conv(r, v) }"
WEIGHTS = {"w": normal(16, 8, 3, 3), "v": normal(16, 16, 3, 3, seed=1)}
FEEDS = [{"x": normal(1, 8, 8, 8, seed=seed)} for seed in range(4)]


def _saved(folder: Path, config: QuantConfig) -> tuple[pipeline.Quantized, Path]:
    path = write_model(folder / "m.onnx", TEXT, WEIGHTS)
    result = pipeline.quantize(path, pipeline.calibrate(path, Given(FEEDS)), config=config)
    result.save(folder / "m.int.onnx")
    return result, folder / "m.int.onnx"


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_the_file_is_the_model(bits: int, tmp_path: Path) -> None:
    result, path = _saved(tmp_path, QuantConfig(weight_bits=bits))
    kinds = [tensor.data_type for tensor in onnx.load(path).graph.initializer]
    assert kinds.count(onnx.TensorProto.INT4) == 2
    again = load(path).ir
    assert check(again) == []
    session, ours, read = open_session(path), Executor(Program.read(result.model)), Executor(Program.read(again))
    for feed in FEEDS:
        expected = ours.run(feed)["y"]
        assert np.array_equal(session.run(None, feed)[0], expected)
        assert np.array_equal(read.run(feed)["y"], expected)
    assert audit(path).float_nodes == ()
    assert "Cast" not in audit_optimized(path).integer  # onnxruntime has folded it


def test_only_what_fits_is_packed(tmp_path: Path) -> None:
    _, path = _saved(tmp_path, QuantConfig(rules=(Rule("conv0", weight_bits=4),)))
    kinds = {tuple(tensor.dims): tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert [kinds[WEIGHTS[name].shape] for name in ("w", "v")] == [onnx.TensorProto.INT4, onnx.TensorProto.INT8]


def test_a_model_without_small_weights_is_itself(tmp_path: Path) -> None:
    result, _ = _saved(tmp_path, QuantConfig())
    assert packed(result.model) is result.model

"""Norms that only onnxruntime has in the standard's domain are written in operators of the standard where they stay in float."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper

from qconv.cli.main import run
from qconv.model.session import open_session
from qconv.model.spell_norms import spell_norms
from tests.networks import network


@pytest.mark.parametrize("axis", [-1, 1])
def test_the_written_norm_computes_the_same(axis: int) -> None:
    node = helper.make_node("SimplifiedLayerNormalization", ["x", "w"], ["y"], "norm", axis=axis, epsilon=0.25)
    rng = np.random.default_rng(0)
    shape = (6,) if axis == -1 else (5, 6)
    model = network([node], {"x": [4, 5, 6]}, ["y"], {"w": rng.normal(size=shape).astype(np.float32)})
    model.graph.outputs[0].shape = ir.Shape([4, 5, 6])  # which the checker wants, and inference cannot tell
    feed = {"x": rng.normal(size=(4, 5, 6)).astype(np.float32)}
    (before,) = open_session(model, optimize=False).run(None, feed)
    assert spell_norms(model.graph) == 1
    onnx.checker.check_model(ir.to_proto(model))
    (after,) = open_session(model, optimize=False).run(None, feed)
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)  # sums of 30 float32 in another order


@pytest.mark.parametrize("flags", [("--exclude", "norm"), ("--mode", "dynamic"), ("--mode", "weight-only")])
def test_what_is_left_in_float_is_valid_onnx(tmp_path: Path, flags: tuple[str, str]) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"], "first"),
        helper.make_node("SimplifiedLayerNormalization", ["h", "w"], ["n"], "norm", epsilon=1e-5),
        helper.make_node("MatMul", ["n", "b"], ["y"], "second"),
    ]
    rng = np.random.default_rng(0)
    arrays = {"a": rng.normal(size=(32, 32)), "b": rng.normal(size=(32, 32)), "w": rng.normal(size=32)}
    constants = {name: array.astype(np.float32) for name, array in arrays.items()}
    ir.save(network(nodes, {"x": ["n", 7, 32]}, ["y"], constants), tmp_path / "m.onnx")
    np.savez(tmp_path / "d.npz", x=rng.normal(size=(30, 7, 32)).astype(np.float32))
    made = tmp_path / "made.onnx"
    assert run(["quantize", str(tmp_path / "m.onnx"), "--data", str(tmp_path / "d.npz"), *flags, "-o", str(made)]) == 0
    onnx.checker.check_model(onnx.load(made))
    assert "Sqrt" in {node.op_type for node in onnx.load(made).graph.node}

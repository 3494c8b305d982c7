"""An If of a constant is the branch that runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from qconv.model.load import load
from qconv.model.session import open_session
from qconv.prepare.inline_branches import inline_branches
from qconv.prepare.simplify import simplify
from tests.lower.harness import write_model


@pytest.mark.parametrize("condition", [True, False])
def test_the_branch_that_runs_is_left(tmp_path: Path, condition: bool) -> None:
    text = """g (float[4] x) => (float[4] y, float[4] z) {
        y, t = If<then_branch = a () => (float[4] p, float[4] u) { p = Relu(x) u = Neg(x) },
                  else_branch = b () => (float[4] q, float[4] v) { q = Exp(x) v = Abs(x) }>(c)
        z = Neg(t) }"""
    path = write_model(tmp_path / "m.onnx", text, {"c": np.asarray(condition)})
    x = np.asarray([-1.0, 0.5, 2.0, -3.0], np.float32)
    wanted = open_session(path).run(None, {"x": x})
    model = ir.load(path)
    assert inline_branches(model) == 1
    assert not [node for node in model.graph if node.op_type == "If"]
    assert {use.node.op_type for use in model.graph.inputs[0].uses()} == ({"Relu", "Neg"} if condition else {"Exp", "Abs"})
    assert [value.name for value in model.graph.outputs] == ["y", "z"]
    assert all(np.array_equal(a, b) for a, b in zip(wanted, open_session(model).run(None, {"x": x}), strict=True))


def test_a_condition_that_folding_finds_leaves_no_reader_behind(tmp_path: Path) -> None:
    text = """g (float[1,4] x) => (float[1,4] y) { c = MatMul(x, w) s = Equal(rate, wanted)
        y = If(s) <then_branch = a () => (float[1,4] p) { p = Relu(c) }, else_branch = b () => (float[1,4] q) { q = Neg(c) }> }"""
    weights = {"w": np.eye(4, dtype=np.float32), "rate": np.asarray(8), "wanted": np.asarray(8)}
    model = ir.load(write_model(tmp_path / "m.onnx", text, weights))
    simplify(model)
    assert [node.op_type for node in model.graph] == ["MatMul", "Relu"]
    assert [use.node.op_type for use in model.graph[0].outputs[0].uses()] == ["Relu"]


def test_two_outputs_of_the_network(tmp_path: Path) -> None:
    text = """g (float[4] x) => (float[4] y, float[4] z) {
        y, z = If<then_branch = a () => (float[4] p, float[4] u) { p = Relu(x) u = Neg(x) },
                  else_branch = b () => (float[4] q, float[4] v) { q = Exp(x) v = Abs(x) }>(c) }"""
    path = write_model(tmp_path / "m.onnx", text, {"c": np.asarray(True)})
    model = ir.load(path)
    assert inline_branches(model) == 1
    y, z = open_session(model).run(None, {"x": np.asarray([-1.0, 0.5, 2.0, -3.0], np.float32)})
    assert np.array_equal(y, [0, 0.5, 2, 0]) and np.array_equal(z, [1, -0.5, -2, 3])


CHOICE = """g (float[N,4] x, bool[1] c) => (float[N,4] y, float[N,4] z) {
    y, z = If<then_branch = a () => (float[N,4] p, float[N,4] u) { p = Relu(x) u = Neg(x) },
              else_branch = b () => (float[N,4] q, float[N,4] v) { q = Exp(x) v = Abs(x) }>(c) }"""


@pytest.mark.parametrize("condition", [True, False])
def test_a_condition_that_is_given_chooses_between_both(tmp_path: Path, condition: bool) -> None:
    path = write_model(tmp_path / "m.onnx", CHOICE, {})
    feeds = {"x": np.asarray([[-1.0, 0.5, 2.0, -3.0]] * 2, np.float32), "c": np.asarray([condition])}
    wanted = open_session(path).run(None, feeds)
    model = load(path).ir
    assert inline_branches(model) == 1
    assert not [node for node in model.graph if node.op_type == "If"]
    assert all(np.array_equal(a, b) for a, b in zip(wanted, open_session(model).run(None, feeds), strict=True))


def test_branches_of_unlike_or_unknown_sizes_stay(tmp_path: Path) -> None:
    unlike = CHOICE.replace("float[N,4] q", "float[1,1] q").replace("q = Exp(x)", "e = ReduceSum(x) q = Exp(e)")
    unknown = CHOICE.replace("[N,4]", "[N,T]")
    for number, text in enumerate((unlike, unknown)):
        assert inline_branches(load(write_model(tmp_path / f"{number}.onnx", text, {})).ir) == 0

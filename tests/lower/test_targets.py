"""Every op of the table, and integer inputs and outputs, for the target with signed activations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from qconv.config import Io, QuantConfig
from qconv.integer.execution.compare import mismatches
from qconv.integer.execution.executor import Executor
from qconv.integer.program import Program
from qconv.targets import TARGETS, Arithmetic, Codes, Rules, Target, WeightScales
from tests.lower.harness import normal, quantize_graph
from tests.lower.test_ops import CASES, Case

# Ops whose parameters or codes are fixed by their type: signed codes of fewer bits do not fill their container.
_FIXED = ("Clip", "HardSigmoid", "HardSwish", "Relu", "Sigmoid", "Softmax", "Sub", "Tanh")
_NARROW = [case for case in CASES if case.name.startswith(_FIXED)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_op_is_exact_with_int8_activations(case: Case, tmp_path: Path) -> None:
    _assert_exact(case, 8, case.sqnr, tmp_path)


@pytest.mark.parametrize("case", _NARROW, ids=lambda case: case.name)
def test_an_op_is_exact_with_signed_activations_of_7_bits(case: Case, tmp_path: Path) -> None:
    _assert_exact(case, 7, case.sqnr - 12, tmp_path)  # a bit is worth 6 dB, and there are two roundings


def _assert_exact(case: Case, bits: int, sqnr: float, tmp_path: Path) -> None:
    config = QuantConfig(target="arm", activation_bits=bits)
    feeds = [{name: normal(*shape, seed=10 * i + j) for j, (name, shape) in enumerate(case.shapes.items())} for i in range(4)]
    result = quantize_graph(tmp_path, case.text, case.weights, feeds, config=config)
    assert result.quantized.audit.float_nodes == ()
    assert [c for c in result.quantized.lowering.program.certificates.values() if c.proved != c.scales or c.why] == []
    result.assert_exact()
    assert result.sqnr_db() > sqnr


def test_ties_of_an_addition_are_broken_by_both_scales(tmp_path: Path) -> None:
    values = np.linspace(-1, 1, 6, dtype=np.float32)
    text = "g (float[6] a, float[6] b) => (float[6] y) { y = Add(a, b) }"
    result = quantize_graph(tmp_path, text, {}, [{"a": values, "b": values}], config=QuantConfig(target="arm"))
    (certificate,) = result.quantized.lowering.program.certificates.values()
    assert certificate.proved == certificate.nudged == 1
    a, b, y = (result.quantized.plan.tensors[name] for name in "aby")
    assert a.scale / y.scale == b.scale / y.scale == 0.5
    result.assert_exact()


@pytest.mark.parametrize("io", ["int8", "uint8"])
@pytest.mark.parametrize("target", ["x86", "arm"])
def test_inputs_and_outputs_have_the_type_that_is_asked_for(target: str, io: Io, tmp_path: Path) -> None:
    text = "g (float[1,4,6,6] x) => (float[1,4,4,4] y) { t = Conv(x, w) y = Relu(t) }"
    feeds = [{"x": normal(1, 4, 6, 6, seed=i)} for i in range(3)]
    weights = {"w": normal(4, 4, 3, 3)}
    (tmp_path / "io").mkdir()
    plain = quantize_graph(tmp_path, text, weights, feeds, config=QuantConfig(target=target))
    model = quantize_graph(tmp_path / "io", text, weights, feeds, config=QuantConfig(target=target, io=io)).quantized.model
    assert [value.dtype for value in (*model.graph.inputs, *model.graph.outputs)] == [ir.DataType[io.upper()]] * 2
    moved = 128 * ((io == "uint8") - (target == "x86"))
    inside = plain.values()
    codes = (inside["x_quantized"].astype(np.int16) + moved).astype(io)
    assert np.array_equal(
        Executor(Program.read(model)).run({"x": codes})["y"], (inside["y_quantized"].astype(np.int16) + moved).astype(io)
    )
    assert mismatches(model, {"x": codes}) == []
    zero_points = [int(value.metadata_props["qconv.zero_point"]) for value in (*model.graph.inputs, *model.graph.outputs)]
    assert zero_points == [int(plain.quantized.plan.tensors[name].zero_point) + moved for name in ("x", "y")]


def test_a_target_is_put_together_from_what_it_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that no table names: signed codes in operators of ai.onnx alone, with a proof for ties, and without tuning."""
    arithmetic = Arithmetic(adds_pairs_in_int16=True, rounds_ties_otherwise=True, divides_in_float=True)
    mixed = Target("mixed", "a runtime of int8", Codes.SIGNED, WeightScales.FEW, arithmetic, (Rules.STANDARD,), ())
    monkeypatch.setitem(TARGETS, "mixed", mixed)
    text = """g (float[1,4,6,6] x) => (float[1,4,6,6] y) {
        c = Conv <pads = [1, 1, 1, 1]> (x, w)
        t = Tanh (c)
        y = Add (t, x)
    }"""
    feeds = [{"x": normal(1, 4, 6, 6, seed=seed)} for seed in range(3)]
    result = quantize_graph(tmp_path, text, {"w": normal(4, 4, 3, 3)}, feeds, config=QuantConfig(target="mixed"))
    result.assert_exact()
    model = result.quantized.model
    assert list(model.opset_imports) == [""]
    assert "Gather" in {node.op_type for node in model.graph}  # Tanh keeps its table
    codes = [value for node in model.graph if node.op_type == "QuantizeLinear" for value in node.outputs]
    assert [value.dtype for value in codes] == [ir.DataType.INT8]
    assert result.sqnr_db() > 30

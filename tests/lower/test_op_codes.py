"""The codes of every op in all its forms against those of the float op, which onnxruntime computes on the same codes as reals.

Kernel, executor and proof may agree with each other and be wrong together: another window, axis or zero point. Here the judge is
the float op. Inputs are random codes over the whole range, weights and constants the reals of their codes; so nothing is left
but one rounding, and errors are counted in codes. Ops that only move codes have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from qconv.config import QuantConfig
from qconv.integer.execution.compare import mismatches
from qconv.integer.execution.executor import Executor
from qconv.integer.program import Program
from qconv.model.session import open_session
from qconv.ops.op_table import TABLE
from qconv.plan.quant_plan import QuantPlan
from qconv.quant.params import quantize_weight
from qconv.verify.exact.processors import machine_warnings
from tests.lower.harness import Array, normal, quantize_graph, write_model
from tests.lower.op_forms import FORMS, Form

# Weights keep their nearest codes; where AVX2 would saturate, other targets round them away, which is no error of an op. The
# executor computes the codes, and the kernels are held against it on processors that the model is made for.
CONFIG = QuantConfig(target="x86-vnni")
# The share of codes that may be off by one: means of two or four codes end in a half that often, other sums hardly ever. A zero
# point that is off by one moves most codes.
OFTEN = 0.1


def as_codes(plan: QuantPlan, constants: Mapping[str, Array]) -> dict[str, Array]:
    """Constants as the integer graph sees them: the reals of their codes, where the plan gives them codes."""
    reals = {name: plan.tensors[name] for name in constants if name in plan.tensors}
    return {
        name: reals[name].dequantize(quantize_weight(array, reals[name])) if name in reals else array
        for name, array in constants.items()
    }


def random_codes(plan: QuantPlan, form: Form, seed: int) -> dict[str, Array]:
    """Reals of codes over all that the inputs' types hold."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, shape in form.shapes.items():
        if name not in plan.tensors:  # of an op that reads no values
            return {name: np.zeros(shape, np.float32)}
        params = plan.tensors[name]
        codes = rng.integers(params.int_type.qmin, params.int_type.qmax + 1, shape)
        found[name] = params.dequantize(codes.astype(params.int_type.dtype))
    return found


def samples(form: Form, seed: int) -> dict[str, Array]:
    """One sample from a normal distribution."""
    return {
        name: normal(*shape, seed=7 * seed + k) * np.float32(form.spread) + np.float32(form.low)
        for k, (name, shape) in enumerate(form.shapes.items())
    }


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_codes_are_those_of_the_float_op(form: Form, tmp_path: Path) -> None:
    feeds = [samples(form, seed) for seed in range(3)]
    quantized = quantize_graph(tmp_path, form.text, form.weights, feeds, config=CONFIG).quantized
    plan = quantized.plan
    assert plan.float_nodes.keys() <= {"averagepool0"}  # of which some windows have no integer form
    judge = open_session(write_model(tmp_path / "judge.onnx", form.text, as_codes(plan, form.weights)))
    session, executor = open_session(quantized.model), Executor(Program.read(quantized.model))
    output = str(quantized.model.graph.outputs[0].name)
    errors = []
    for seed in range(4):
        given = random_codes(plan, form, seed)
        (right,) = judge.run(None, given)
        found = session.run(None, given)[0] if executor.foreign else executor.run(given)[output]
        assert found.shape == right.shape
        if found.dtype == np.float32 and "y" in plan.tensors:
            found = found[defined := ~np.isnan(right)]  # Acosh has no value below 1
            right, found = (plan.tensors["y"].quantize(a).astype(np.int64) for a in (right[defined], found))
        errors.append(np.abs(found - right).ravel())
    assert np.max(np.concatenate(errors)) <= form.off
    assert np.mean(np.concatenate(errors) != 0) <= OFTEN * form.off
    if not any(machine_warnings(quantized.lowering.program)):
        assert mismatches(quantized.model, random_codes(plan, form, 4)) == []


def test_every_op_of_the_table_has_a_form() -> None:
    """A new row of the table needs its forms in op_forms.py."""
    borders = {"DequantizeLinear", "QuantizeLinear"}  # of quantized models: tests/import_
    assert {form.op for form in FORMS} == {row.op_type for row in TABLE.values()} - borders

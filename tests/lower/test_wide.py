"""Integers of 32 bits on their way: the bounds that are kept of them are those that they reach."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from qconv.integer.execution.executor import Executor
from qconv.integer.program import Program
from qconv.lower.context import Context
from qconv.lower.values import Wide
from qconv.lower.wide import WideBuilder
from qconv.plan.quant_plan import QuantPlan
from qconv.targets import TARGETS


def reached(target: str, low: int, high: int, bits: int) -> tuple[Wide, np.ndarray]:
    """What all integers between two become in steps 2^bits times as large, with what is said of them."""
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.INT32), shape=ir.Shape([None]))
    graph = ir.Graph([x], [], nodes=[], name="g", opset_imports={"": 21})
    ctx = Context(graph, QuantPlan({}, {}), TARGETS[target])
    ctx.begin(None)
    moved = WideBuilder(ctx, "layer").shifted(Wide(x, 1.0, 0.0, low, high), bits, "shifted")
    graph.outputs.append(moved.value)
    values = Executor(Program.read(ir.Model(graph, ir_version=10))).run({"x": np.arange(low, high + 1, dtype=np.int32)})
    return moved, values[str(moved.value.name)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("low", "high"), [(-5, 9), (-8, 8), (-9, -1), (3, 11), (-1, 0)])
@pytest.mark.parametrize("bits", [1, 3])
def test_bounds_of_shifted_integers_are_reached(target: str, low: int, high: int, bits: int) -> None:
    moved, values = reached(target, low, high, bits)
    assert (moved.low, moved.high) == (values.min(), values.max())
    assert np.abs(values * moved.scale - np.arange(low, high + 1)).max() < 1 << bits

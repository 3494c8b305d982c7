from __future__ import annotations

import onnx_ir as ir
import pytest

from qconv.integer.execution.work import work
from qconv.integer.step import Operand, Step


def value(*shape: int) -> ir.Value:
    return ir.Value(name="v", type=ir.TensorType(ir.DataType.UINT8), shape=ir.Shape(shape))


@pytest.mark.parametrize(
    ("op_type", "inputs", "output", "expected"),
    [
        ("QLinearConv", [value(1, 64, 8, 8), value(32, 64, 2, 2)], (1, 32, 7, 7), 2 * 32 * 49),  # 256 products each
        ("QLinearConv", [value(1, 64, 8, 8), value(64, 1, 2, 2)], (1, 64, 8, 8), 64 * 64 * 260 // 256),
        ("QGemm", [value(5, 512)], (5, 16), 3 * 80),
        ("QLinearMatMul", [value(2, 5, 1024)], (2, 5, 16), 5 * 160),
        ("MaxPool", [value(1, 64, 8, 8)], (1, 64, 4, 4), 1024),
    ],
)
def test_elements_and_multiply_adds(op_type: str, inputs: list[ir.Value], output: tuple[int, ...], expected: int) -> None:
    made, operands = Operand(ir.Value(name="made")), tuple(map(Operand, inputs))
    step = Step(op_type, "", "layer", None, ir.Node("", op_type, inputs), operands, (made,))
    assert work(made, step, {made.value: output}) == expected


def test_an_input_is_its_elements() -> None:
    given = Operand(value(3, 4))
    assert work(given, None, {given.value: (3, 4)}) == 12

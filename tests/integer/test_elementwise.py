"""Plain integer arithmetic, equal to onnxruntime on every element."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import DTypeLike
from onnx import helper

from qconv.errors import ModelError
from qconv.integer.execution.executor import Executor
from qconv.integer.program import Program
from tests.integer.onenode import Array, assert_equal, codes, one_node, zero

CODES: list[DTypeLike] = [np.uint8, np.int8]
COUNTS: list[DTypeLike] = [np.int32, np.int64]


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize(("low", "high"), [(10, 90), (None, 90), (10, None), (90, 10), (None, None)])
def test_clip(low: int | None, high: int | None, dtype: DTypeLike) -> None:
    bounds = [None if bound is None else zero(bound, dtype) for bound in (low, high)]
    assert_equal(*one_node("Clip", [codes(np.random.default_rng(0), (4, 50), dtype), *bounds], outputs=[dtype]))


@pytest.mark.parametrize("dtype", CODES + COUNTS)
@pytest.mark.parametrize("op_type", ["Max", "Min"])
def test_max_and_min(op_type: str, dtype: DTypeLike) -> None:
    rng = np.random.default_rng(0)
    x, row = codes(rng, (4, 50), dtype), codes(rng, (50,), dtype)
    assert_equal(*one_node(op_type, [x, row, zero(50, dtype)], outputs=[dtype]))
    assert_equal(*one_node(op_type, [x], outputs=[dtype]))


CASTS: list[tuple[DTypeLike, DTypeLike]] = [
    (np.uint8, np.int8),
    (np.int8, np.uint8),
    (np.uint8, np.int32),
    (np.int32, np.uint8),
    (np.int64, np.int8),
    (np.int32, np.int64),
    (np.uint8, np.bool_),
]


@pytest.mark.parametrize(("source", "target"), CASTS)
def test_cast(source: DTypeLike, target: DTypeLike) -> None:
    x = codes(np.random.default_rng(0), (300,), source)
    attributes = {"to": helper.np_dtype_to_tensor_dtype(np.dtype(target))}
    assert_equal(*one_node("Cast", [x], attributes=attributes, outputs=[target]))


def test_cast_of_truth_values() -> None:
    x = np.arange(9) % 2 == 0
    assert_equal(*one_node("Cast", [x], attributes={"to": int(ir.DataType.UINT8)}))


@pytest.mark.parametrize("dtype", CODES + COUNTS)
@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul"])
def test_arithmetic_wraps_around(op_type: str, dtype: DTypeLike) -> None:
    rng = np.random.default_rng(0)
    assert_equal(*one_node(op_type, [codes(rng, (500,), dtype), codes(rng, (500,), dtype)], dynamic=(0, 1), outputs=[dtype]))


@pytest.mark.parametrize("dtype", COUNTS)
@pytest.mark.parametrize(("op_type", "attributes"), [("Div", {}), ("Mod", {}), ("Mod", {"fmod": 1})])
def test_division(op_type: str, attributes: dict[str, Any], dtype: DTypeLike) -> None:
    a, b = np.meshgrid(np.arange(-30, 31), [value for value in range(-9, 10) if value])
    inputs: list[Array | None] = [a.astype(dtype), b.astype(dtype)]
    assert_equal(*one_node(op_type, inputs, attributes=attributes, dynamic=(0, 1), outputs=[dtype]))


@pytest.mark.parametrize("op_type", ["Div", "Mod"])
def test_division_by_0_is_refused(op_type: str) -> None:
    model, feeds = one_node(op_type, [np.array([1, 2]), np.array([1, 0])], dynamic=(0, 1), outputs=[np.int64])
    with pytest.raises(ModelError, match="divisor is 0"):
        Executor(Program.read(ir.from_proto(model))).run(feeds)


@pytest.mark.parametrize("dtype", COUNTS)
@pytest.mark.parametrize("op_type", ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"])
@pytest.mark.parametrize("axes", [[1], [0, -1], None])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reductions(op_type: str, axes: list[int] | None, keepdims: int, dtype: DTypeLike) -> None:
    x = np.random.default_rng(0).integers(-2, 3, (5, 6, 4)).astype(dtype)
    inputs: list[Array | None] = [x] if axes is None else [x, np.array(axes)]
    assert_equal(*one_node(op_type, inputs, attributes={"keepdims": keepdims}, outputs=[dtype]))


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("op_type", ["ReduceMax", "ReduceMin"])
def test_extremes_of_codes(op_type: str, dtype: DTypeLike) -> None:
    x = codes(np.random.default_rng(0), (5, 6, 4), dtype)
    assert_equal(*one_node(op_type, [x, np.array([1, 2])], outputs=[dtype]))


def test_no_axes_may_mean_no_reduction() -> None:
    x = np.arange(6).reshape(2, 3)
    assert_equal(*one_node("ReduceSum", [x], attributes={"noop_with_empty_axes": 1}, outputs=[np.int64]))

"""Operators left to onnx's reference implementation: that it agrees with onnxruntime is what these tests establish."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike
from onnx import TensorProto, helper

from qconv.integer.execution.kernels.reference import OPERATORS
from tests.integer.onenode import Array, assert_equal, codes, one_node, zero

X = codes(np.random.default_rng(0), (2, 8, 6, 4))
S = X.view(np.int8)
N = np.random.default_rng(0).integers(-9, 10, (4, 5, 6))
T = X > 100
Case = tuple[str, list[Array | None], dict[str, Any], list[DTypeLike]]

CASES: list[Case] = [
    ("And", [T, T[:, ::-1]], {}, [np.bool_]),
    ("Or", [T, T[:, ::-1]], {}, [np.bool_]),
    ("Xor", [T, T[:, ::-1]], {}, [np.bool_]),
    ("Not", [T], {}, [np.bool_]),
    ("Equal", [X, zero(int(X[0, 0, 0, 0]))], {}, [np.bool_]),
    ("Greater", [N, np.array(3)], {}, [np.bool_]),
    ("GreaterOrEqual", [N, np.array(3)], {}, [np.bool_]),
    ("Less", [N, np.array(3)], {}, [np.bool_]),
    ("LessOrEqual", [N, np.array(3)], {}, [np.bool_]),
    ("Where", [T, X, zero(3)], {}, [np.uint8]),
    ("Where", [T, S, zero(3, np.int8)], {}, [np.int8]),
    ("Abs", [N], {}, [np.int64]),
    ("Neg", [N], {}, [np.int64]),
    ("Sign", [N], {}, [np.int64]),
    ("BitwiseAnd", [X, zero(60)], {}, [np.uint8]),
    ("BitwiseOr", [X, zero(60)], {}, [np.uint8]),
    ("BitwiseXor", [X, zero(0x80)], {}, [np.uint8]),
    ("BitwiseXor", [S, zero(-128, np.int8)], {}, [np.int8]),
    ("BitwiseNot", [X], {}, [np.uint8]),
    ("ArgMax", [X], {"axis": 1}, [np.int64]),
    ("ArgMax", [S // 50], {"axis": -1, "keepdims": 0, "select_last_index": 1}, [np.int64]),
    ("ArgMin", [X // 50], {"axis": 2, "keepdims": 0}, [np.int64]),
    ("NonZero", [X // 50], {}, [np.int64]),
    ("CumSum", [N, np.array(1)], {}, [np.int64]),
    ("CumSum", [N, np.array(1)], {"reverse": 1, "exclusive": 1}, [np.int64]),
    ("ConstantOfShape", [np.array([2, 3])], {"value": helper.make_tensor("v", TensorProto.UINT8, [1], [7])}, [np.uint8]),
    ("Constant", [], {"value": helper.make_tensor("v", TensorProto.UINT8, [2], [7, 9])}, [np.uint8]),
    ("Range", [np.array(1), np.array(20), np.array(3)], {}, [np.int64]),
    ("DepthToSpace", [X], {"blocksize": 2}, [np.uint8]),
    ("DepthToSpace", [S], {"blocksize": 2, "mode": "CRD"}, [np.int8]),
    ("SpaceToDepth", [X], {"blocksize": 2}, [np.uint8]),
    ("Tile", [X, np.array([1, 2, 1, 3])], {}, [np.uint8]),
    ("Compress", [X, np.arange(8) % 3 == 0], {"axis": 1}, [np.uint8]),
    ("ReverseSequence", [X, np.array([5, 8])], {"batch_axis": 0, "time_axis": 1}, [np.uint8]),
    ("GatherND", [X, np.array([[0, 1], [1, 7]])], {}, [np.uint8]),
    ("ScatterND", [X[0, 0], np.array([[0], [2]]), X[0, 1, :2]], {}, [np.uint8]),
    ("ScatterElements", [X[0, 0], np.array([[0, 1, 2, 3]]), X[0, 1, :1]], {}, [np.uint8]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_agrees_with_onnxruntime(case: Case) -> None:
    op_type, inputs, attributes, outputs = case
    dynamic = tuple(range(len(inputs)))
    assert_equal(*one_node(op_type, inputs, attributes=attributes, outputs=outputs, dynamic=dynamic))


def test_every_operator_is_tested() -> None:
    assert {case[0] for case in CASES} == OPERATORS

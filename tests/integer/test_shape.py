"""Operators that move, cut and measure, equal to onnxruntime on every element."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import DTypeLike

from qconv.errors import ModelError
from qconv.integer.execution.executor import Executor
from qconv.integer.program import Program
from tests.integer.onenode import Array, assert_equal, codes, one_node

X = codes(np.random.default_rng(0), (2, 8, 6, 5))


def ints(*values: int) -> Array:
    """An int64 input."""
    return np.array(values, np.int64)


CASES: dict[str, tuple[str, list[Array | None], dict[str, Any]]] = {
    "identity": ("Identity", [X], {}),
    "reshape with 0 and -1": ("Reshape", [X, ints(0, -1, 5)], {}),
    "reshape with allowzero": ("Reshape", [X[:0], ints(0, 3)], {"allowzero": 1}),
    "flatten": ("Flatten", [X], {}),
    "flatten from the end": ("Flatten", [X], {"axis": -1}),
    "flatten all": ("Flatten", [X], {"axis": 0}),
    "flatten none": ("Flatten", [X], {"axis": 4}),
    "transpose": ("Transpose", [X], {"perm": [0, 2, 3, 1]}),
    "transpose reversed": ("Transpose", [X], {}),
    "squeeze": ("Squeeze", [X[:1, :1], ints(0, -3)], {}),
    "squeeze all": ("Squeeze", [X[:1, :1]], {}),
    "unsqueeze": ("Unsqueeze", [X, ints(0, -1)], {}),
    "expand": ("Expand", [X[:, :1], ints(2, 3, 1, 1)], {}),
    "expand to more axes": ("Expand", [X, ints(3, 1, 1, 1, 1)], {}),
    "concat": ("Concat", [X, X[:, :3]], {"axis": 1}),
    "concat from the end": ("Concat", [X, X[..., :3]], {"axis": -1}),
    "gather": ("Gather", [X, np.array([[0, -1], [2, 3]])], {"axis": 1}),
    "gather one": ("Gather", [X, np.array(3, np.int32)], {"axis": -2}),
    "gather elements": ("GatherElements", [X, np.random.default_rng(1).integers(-6, 6, (2, 8, 3, 5))], {"axis": 2}),
    "gather fewer elements": ("GatherElements", [X, np.random.default_rng(1).integers(-6, 6, (1, 3, 9, 2))], {"axis": 2}),
    "look up in a table": ("GatherElements", [X.reshape(-1)[:240], np.arange(500, dtype=np.int32) % 240], {}),
}


@pytest.mark.parametrize("case", CASES)
def test_moves(case: str) -> None:
    op_type, inputs, attributes = CASES[case]
    dynamic = (0, 1) if op_type == "Concat" else (0,)
    assert_equal(*one_node(op_type, inputs, attributes=attributes, dynamic=dynamic))


@pytest.mark.parametrize(
    ("inputs", "attributes", "parts"),
    [([X, ints(3, 5)], {"axis": 1}, 2), ([X], {"axis": 1, "num_outputs": 3}, 3), ([X], {"axis": -1, "num_outputs": 5}, 5)],
)
def test_split(inputs: list[Array], attributes: dict[str, Any], parts: int) -> None:
    assert_equal(*one_node("Split", inputs, attributes=attributes, outputs=[np.uint8] * parts))


def test_slice() -> None:
    """Random starts, ends, axes and steps, far beyond the ends of the axes too."""
    rng = np.random.default_rng(0)
    for trial in range(300):
        rank = int(rng.integers(1, 4))
        x = codes(rng, rng.integers(1, 9, rank).tolist())
        axes = rng.permutation(rank)[: rng.integers(1, rank + 1)] - rank * rng.integers(0, 2)
        starts, ends = rng.integers(-12, 12, (2, len(axes)))
        steps = rng.choice([1, 2, 3, -1, -2], len(axes))
        if trial % 4 == 0:
            ends = np.where(steps > 0, np.iinfo(np.int64).max, np.iinfo(np.int64).min)
        assert_equal(*one_node("Slice", [x, starts, ends, axes, steps]))


@pytest.mark.parametrize("inputs", [[X, ints(1, 2), ints(2, 5)], [X, ints(1), ints(7), ints(-3)]])
def test_slice_with_defaults(inputs: list[Array]) -> None:
    assert_equal(*one_node("Slice", inputs))


@pytest.mark.parametrize(
    ("op_type", "attributes"), [("Shape", {}), ("Shape", {"start": 1, "end": -1}), ("Shape", {"start": -2}), ("Size", {})]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_measures(op_type: str, attributes: dict[str, Any], dtype: DTypeLike) -> None:
    assert_equal(*one_node(op_type, [X.astype(dtype)], attributes=attributes, outputs=[np.int64]))


@pytest.mark.parametrize("attributes", [{"axis": 1}, {"axis": -1, "largest": 0}])
def test_the_largest_and_where_they_are(attributes: dict[str, Any]) -> None:
    """Of equal ones, those that come first."""
    few = codes(np.random.default_rng(0), (3, 6, 5)) // 60
    assert_equal(*one_node("TopK", [few, ints(3)], attributes=attributes, outputs=[np.uint8, np.int64]))


@pytest.mark.parametrize("op_type", ["Gather", "GatherElements"])
@pytest.mark.parametrize("index", [6, -7])
def test_an_index_beyond_the_axis_is_refused(op_type: str, index: int) -> None:
    x = codes(np.random.default_rng(0), (6,))
    model, feeds = one_node(op_type, [x, ints(0, index)], dynamic=(0, 1))
    with pytest.raises(ModelError, match="outside an axis of 6"):
        Executor(Program.read(ir.from_proto(model))).run(feeds)


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("largest", [0, 1])
def test_the_first_of_equal_elements_comes_first(axis: int, largest: int) -> None:
    x = (X // np.uint8(32)).astype(np.int32)  # with many ties
    model, feeds = one_node("TopK", [x, ints(4)], attributes={"axis": axis, "largest": largest}, outputs=[np.int32, np.int64])
    assert_equal(model, feeds)


def test_places_that_are_not_zero() -> None:
    assert_equal(*one_node("NonZero", [X > 100], outputs=[np.int64]))

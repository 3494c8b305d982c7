"""Sparse constants are read as dense ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from qconv.errors import ModelError
from qconv.model.graph import const_array
from qconv.model.load import load

VALUES = np.asarray([1, 2, 3], np.float32)


def written(folder: Path, places: list[object], dims: list[int], *, constant: bool) -> Path:
    """A product with a sparse matrix, an initializer or a Constant."""
    values, indices = numpy_helper.from_array(VALUES, "w"), numpy_helper.from_array(np.asarray(places, np.int64), "i")
    sparse = onnx.SparseTensorProto(values=values, indices=indices, dims=dims)
    graph = onnx.parser.parse_graph("g (float[1,3] x) => (float[1,3] y) { y = MatMul(x, w) }")
    if constant:
        graph.node.insert(0, helper.make_node("Constant", [], ["w"], sparse_value=sparse))
    else:
        graph.sparse_initializer.append(sparse)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), folder / "m.onnx")
    return folder / "m.onnx"


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("places", [[0, 4, 8], [[0, 0], [1, 1], [2, 2]]])
def test_a_sparse_constant_is_a_weight_like_others(tmp_path: Path, places: list[object], constant: bool) -> None:
    (node,) = load(written(tmp_path, places, [3, 3], constant=constant)).ir.graph
    assert np.array_equal(const_array(node.inputs[1]), np.diag(VALUES))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("places", "dims", "what"),
    [
        ([0, 4, 9], [3, 3], "damaged"),
        ([0, 4, -1], [3, 3], "damaged"),
        ([0, 4], [3, 3], "damaged"),
        ([0, 1, 2], [1 << 20, 1 << 20], "1 GB"),
        ([0, 1, 2], [1 << 62, 1 << 62], "1 GB"),
    ],
)
def test_a_damaged_or_a_huge_one_is_refused(tmp_path: Path, places: list[object], dims: list[int], what: str) -> None:
    with pytest.raises(ModelError, match=f"sparse tensor 'w' .*{what}.*store it as a dense one"):
        load(written(tmp_path, places, dims, constant=False))

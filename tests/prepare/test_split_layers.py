from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from qconv.model.load import load
from qconv.model.session import open_session
from qconv.plan.patterns import nodes_of
from qconv.prepare import prepare
from qconv.prepare.split_layers import split_layers
from tests.lower.harness import Array, normal
from tests.prepare.graphs import write_graph

SIZE = np.where(np.arange(8) < 4, 300, 1).astype(np.float32)  # of the output channels
W, B = normal(8, 8) * SIZE, normal(8) * SIZE
KERNEL = normal(8, 3, 3, 3) * SIZE.reshape(8, 1, 1, 1)
# what it is: inputs, body, constants; the number of layers that are split
FORMS: dict[str, tuple[str, str, dict[str, Array], int]] = {
    "product": ("float[N,8] x", "c = MatMul(x, w) y, z = Split<axis=1>(c, halves)", {"w": W}, 1),
    "product and bias": (
        "float[N,5,8] x", "m = MatMul(x, w) c = Add(m, b) y, z = Split<axis=2>(c, halves)", {"w": W, "b": B}, 1,
    ),
    "Gemm of a turned matrix": (
        "float[N,8] x", "c = Gemm<transB=1>(x, w, b) y, z = Split<axis=1>(c, halves)", {"w": W.T.copy(), "b": B}, 1,
    ),
    "convolution behind a Reshape": (
        "float[N,3,6,6] x",
        "c = Conv<pads=[1,1,1,1]>(x, w, b) r = Reshape(c, grid) y = Gather<axis=1>(r, first) z = Gather<axis=1>(r, second)",
        {"w": KERNEL, "b": B}, 1,
    ),
    "bias alone": ("float[N,8] x", "c = Gemm(x, w, b) y, z = Split<axis=1>(c, halves)", {"w": W / SIZE, "b": 50 * B}, 1),
    "parts alike": ("float[N,8] x", "c = MatMul(x, w) y, z = Split<axis=1>(c, halves)", {"w": W / SIZE}, 0),
    "cut elsewhere": ("float[N,8] x", "c = MatMul(x, w) y, z = Split<axis=1>(c, unequal)", {"w": W}, 0),
    "read as a whole too": ("float[N,8] x", "c = MatMul(x, w) y, q = Split<axis=1>(c, halves) z = Relu(c)", {"w": W}, 0),
}  # fmt: skip
CONSTANTS: dict[str, Array] = {
    "halves": np.asarray([4, 4]), "unequal": np.asarray([2, 6]), "grid": np.asarray([0, 2, 4, 36]),
    "first": np.asarray(0), "second": np.asarray(1),
}  # fmt: skip


def _model(folder: Path, name: str) -> Path:
    inputs, body, weights, _ = FORMS[name]
    constants = weights | {key: array for key, array in CONSTANTS.items() if key in body}
    return write_graph(folder, f"g ({inputs}) => (float y, float z) {{ {body} }}", constants)


@pytest.mark.parametrize("name", FORMS)
def test_a_layer_of_two_sizes_becomes_two(tmp_path: Path, name: str) -> None:
    path = _model(tmp_path, name)
    model = load(path).ir
    assert split_layers(model) == FORMS[name][3]
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    prepare(model)
    assert FORMS[name][3] == 0 or not any(node.op_type in ("Concat", "Split") for node in model.graph)
    given = open_session(path).get_inputs()[0]
    feed = {"x": normal(3, *given.shape[1:])}
    for right, found in zip(open_session(path).run(None, feed), open_session(model).run(None, feed), strict=True):
        assert right.shape == found.shape
        np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-5 * float(np.abs(right).max()))  # sums in another order


def test_a_person_may_call_the_parts_by_the_name_of_the_layer(tmp_path: Path) -> None:
    path = _model(tmp_path, "product")
    proto = onnx.load(path)
    proto.graph.node[0].name = "mine"
    onnx.save(proto, path)
    model = load(path).ir
    prepare(model)
    assert nodes_of(model.graph, "mine") == set(model.graph)


def test_a_model_whose_scales_are_decided_keeps_its_tensors(tmp_path: Path) -> None:
    model = load(_model(tmp_path, "product")).ir
    prepare(model, keep_tensors=True)
    assert [node.op_type for node in model.graph] == ["MatMul", "Split"]

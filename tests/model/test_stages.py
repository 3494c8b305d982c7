"""A network that is walked through piece by piece gives what it gives as a whole, and runs every node once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
import pytest

from qconv.errors import ModelError
from qconv.model.session import open_session
from qconv.model.stages import Cuttable, Walk

TEXT = """<ir_version: 10, opset_import: ["" : 21]>
g (float[2, 3] x) => (float[2, 3] y) <float[3] w = {1, -2, 3}> {
    a = Mul (x, w)
    b = Relu (a)
    c = Add (b, x)
    d = Neg (a)
    y = Mul (c, d)
}"""
X = np.arange(6, dtype=np.float32).reshape(2, 3) - 2


def whole(model: ir.Model, names: Sequence[str]) -> list[np.ndarray]:
    return list(open_session(model, outputs=names, threads=1).run(None, {"x": X}))


@pytest.mark.parametrize(
    "pieces",
    [
        [["a", "b", "c", "d", "y"]],
        [["a"], ["b"], ["c"], ["d"], ["y"]],
        [["x", "a"], ["c", "b"], ["y"]],
        [["c"], ["a", "d"], [], ["y"]],  # a is made before its piece has come, and kept for it
    ],
)
def test_pieces_hold_what_the_whole_computes(pieces: list[list[str]]) -> None:
    model = ir.from_onnx_text(TEXT)
    walk = Walk(model, pieces, "the network cannot run", threads=1)
    for _ in range(2):
        found = list(walk.run({"x": X}))
        assert [list(piece) for piece in found] == pieces
        for name, array in ((name, array) for piece in found for name, array in piece.items()):
            expected = X if name == "x" else whole(model, [name])[0]
            assert array.dtype == np.float32 and np.array_equal(array, expected)


def test_what_is_live_is_what_later_nodes_read() -> None:
    graph = Cuttable(ir.from_onnx_text(TEXT))
    assert [graph.live(end) for end in range(6)] == [["x"], ["a", "x"], ["a", "b", "x"], ["a", "c"], ["c", "d"], []]


def test_codes_are_carried_rather_than_their_reals() -> None:
    text = TEXT.replace("float[3] w", "float s = {0.5}, uint8 z = {128}, float[3] w").replace(
        "a = Mul (x, w)", "q = QuantizeLinear (x, s, z) r = DequantizeLinear (q, s, z) a = Mul (r, w)"
    )
    model = ir.from_onnx_text(text)
    assert Cuttable(model).live(2) == ["q", "x"]
    first, last = Walk(model, [["q"], ["a"]], "the network cannot run", threads=1).run({"x": X})
    assert first["q"].dtype == np.uint8
    assert np.array_equal(last["a"], whole(model, ["a"])[0])


def test_values_that_a_subgraph_reads_are_carried() -> None:
    text = """<ir_version: 10, opset_import: ["" : 21]>
    g (float[2, 3] x) => (float[2, 3] y) <bool yes = {1}> {
        a = Neg (x)
        b = Relu (x)
        y = If (yes) <
            then_branch = t () => (float[2, 3] u) { u = Add (a, b) },
            else_branch = e () => (float[2, 3] v) { v = Identity (a) }>
    }"""
    model = ir.from_onnx_text(text)
    assert Cuttable(model).live(2) == ["a", "b"]
    found = list(Walk(model, [["a"], ["b"], ["y"]], "the network cannot run", threads=1).run({"x": X}))
    assert np.array_equal(found[2]["y"], np.maximum(X, 0) - X)


def test_no_cut_is_made_where_a_sequence_crosses() -> None:
    text = """<ir_version: 10, opset_import: ["" : 21]>
    g (float[2, 3] x) => (float[2, 3] y) <int64 zero = {0}> {
        a = Neg (x)
        s = SequenceConstruct (a, x)
        b = Relu (a)
        c = SequenceAt (s, zero)
        y = Add (b, c)
    }"""
    model = ir.from_onnx_text(text)
    next(node for node in model.graph if node.op_type == "SequenceConstruct").outputs[0].type = ir.SequenceType(
        ir.TensorType(ir.DataType.FLOAT)
    )
    assert Cuttable(model).cut_from(2) == 4
    first, last = Walk(model, [["a", "b"], ["y"]], "the network cannot run", threads=1).run({"x": X})
    assert np.array_equal(first["b"], np.maximum(-X, 0)) and np.array_equal(last["y"], np.maximum(-X, 0) - X)


def test_a_run_that_fails_is_a_sentence() -> None:
    walk = Walk(ir.from_onnx_text(TEXT), [["y"]], "the network cannot run", threads=1)
    with pytest.raises(ModelError, match=r"^the network cannot run: .*[Ii]nvalid"):
        list(walk.run({"x": X[:, :2]}))

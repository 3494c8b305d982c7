from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx import helper

from qconv.calibrate.reductions import clamped_at_zero, values_by_name, with_reductions
from qconv.model.session import open_session
from tests.calibrate.networks import conv_relu_pool, network, pictures


def test_vector_holds_minima_maxima_and_sums() -> None:
    model = conv_relu_pool()
    (x,) = pictures(1)
    reduced = with_reductions(model, ["x", "c", "r"], ["c", "x"])
    (vector,) = open_session(reduced.model, threads=1).run(None, {"x": x})
    c, r = open_session(model, outputs=["c", "r"], threads=1).run(None, {"x": x})
    assert vector.shape == (7,)
    assert reduced.lo(vector).tolist() == [x.min(), c.min(), 0.0]
    assert reduced.hi(vector).tolist() == [x.max(), c.max(), r.max()]
    np.testing.assert_allclose(vector[5:], [x.sum(), c.sum()], rtol=1e-3)  # order of summation


def test_what_a_clamp_keeps_from_being_negative() -> None:
    bounds = {"zero": np.array(0, np.float32), "one": np.array(1, np.float32)}
    nodes = [
        helper.make_node("Relu", ["x"], ["relu"]),
        helper.make_node("Clip", ["x", "zero", "one"], ["clip"]),
        helper.make_node("Clip", ["x", "one"], ["above"]),
        helper.make_node("Clip", ["x", "", "one"], ["below"]),
        helper.make_node("MaxPool", ["relu"], ["pool"], kernel_shape=[2, 2]),
        helper.make_node("Concat", ["relu", "clip"], ["both"], axis=1),
        helper.make_node("Concat", ["relu", "x"], ["one_side"], axis=1),
        helper.make_node("Add", ["relu", "clip"], ["y"]),
    ]
    values = values_by_name(network(nodes, {"x": [1, 3, 8, 8]}, ["y"], bounds).graph)
    assert [name for name, value in values.items() if clamped_at_zero(value)] == ["relu", "clip", "pool", "both"]


def test_a_watched_clamp_is_looked_at_in_full() -> None:
    model = conv_relu_pool()
    (x,) = pictures(1)
    reduced = with_reductions(model, ["r"], ["r"])
    (vector,) = open_session(reduced.model, threads=1).run(None, {"x": x})
    (r,) = open_session(model, outputs=["r"], threads=1).run(None, {"x": x})
    assert (reduced.lo(vector)[0], reduced.hi(vector)[0]) == (r.min(), r.max())


def test_the_model_itself_is_not_touched_and_weights_are_shared() -> None:
    model = conv_relu_pool()
    before = ir.serde.serialize_model(model).SerializeToString()
    copy = with_reductions(model, ["c"]).model
    assert ir.serde.serialize_model(model).SerializeToString() == before
    assert copy.graph.initializers["w"].const_value is model.graph.initializers["w"].const_value


def test_new_names_avoid_those_in_use() -> None:
    model = conv_relu_pool()
    model.graph.node("relu").outputs[0].name = "c_flat"
    reduced = with_reductions(model, ["c", "c_flat"])
    names = [value.name for node in reduced.model.graph for value in node.outputs]
    assert len(names) == len(set(names))

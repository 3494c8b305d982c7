from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.calibrate.reductions import with_reductions
from qconv.model.session import open_session
from tests.calibrate.networks import conv_relu_pool, pictures


def test_vector_holds_minima_maxima_and_sums() -> None:
    model = conv_relu_pool()
    (x,) = pictures(1)
    reduced = with_reductions(model, ["x", "c", "r"], ["c", "x"])
    (vector,) = open_session(reduced.model, threads=1).run(None, {"x": x})
    c, r = open_session(model, outputs=["c", "r"], threads=1).run(None, {"x": x})
    assert vector.shape == (8,)
    assert reduced.lo(vector).tolist() == [x.min(), c.min(), r.min()]
    assert reduced.hi(vector).tolist() == [x.max(), c.max(), r.max()]
    np.testing.assert_allclose(vector[6:], [x.sum(), c.sum()], rtol=1e-3)  # order of summation


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

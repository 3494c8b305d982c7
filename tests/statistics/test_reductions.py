from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper

from qconv.model.session import open_session
from qconv.statistics.reductions import clamped_at_zero, values_by_name, with_reductions
from tests.networks import conv_relu_pool, network, pictures


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


@pytest.mark.parametrize("shape", [[1, 3, 32, 32], ["N", 3, 32, 32], ["N", "C", "H", "W"]])
def test_a_tensor_is_looked_at_before_the_next_one_is_made(shape: list[int | str | None], tmp_path: Path) -> None:
    """Otherwise all of them would be in memory at once."""
    names = [f"t{index}" for index in range(6)]
    nodes = [helper.make_node("Sin", [source], [name]) for source, name in pairwise(["x", *names])]
    reduced = with_reductions(network(nodes, {"x": shape}, [names[-1]]), names, names[:2], names)
    options = ort.SessionOptions()
    options.enable_profiling, options.profile_file_prefix, options.intra_op_num_threads = True, str(tmp_path / "run"), 1
    session = ort.InferenceSession(ir.serde.serialize_model(reduced.model).SerializeToString(), options)
    session.run(None, {"x": np.zeros((1, 3, 32, 32), np.float32), str(reduced.seed_input): np.array([3])})
    events = json.loads(Path(session.end_profiling()).read_text())
    ops = [event["args"]["op_name"] for event in events if event["cat"] == "Node" and event["name"].endswith("_kernel_time")]
    made = [place for place, op in enumerate(ops) if op == "Sin"]
    for op in ("ReduceMin", "ReduceMax", "Slice"):
        seen = [place for place, name in enumerate(ops) if name == op]
        assert all(before < place for before, place in zip(made, seen, strict=True))
        assert all(place < after for place, after in zip(seen, made[1:]))

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
from onnx import helper

from qconv.data_free.batchnorm_match import affine_batchnorms, affine_front
from qconv.model.load import load
from qconv.model.session import open_session
from qconv.pipeline import load_prepared
from tests.networks import Shape, network

CONV, RELU = helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["n"], ["r"])
NORM = helper.make_node("BatchNormalization", ["c", "g", "b", "m", "v"], ["n"])
LATER = helper.make_node("BatchNormalization", ["r", "g", "b", "m", "v"], ["y"])
CONSTANTS = {"w": np.ones((2, 3, 1, 1), np.float32), **{name: np.ones(2, np.float32) for name in "gbmv"}}


def chain(inputs: dict[str, Shape]) -> ir.Model:
    return network([CONV, NORM, RELU, LATER], inputs, ["y"], CONSTANTS)


def test_the_front_ends_at_the_last_batch_norm_before_the_first_bend() -> None:
    model = chain({"x": [1, 3, 4, 4]})
    front = affine_front(model)
    assert front is not None
    assert [node.op_type for node in front.graph] == ["Conv", "BatchNormalization"]
    assert [value.name for value in front.graph.outputs] == ["n"]
    (found,), (known,) = (affine_batchnorms(graph)["x"] for graph in (front.graph, model.graph))
    assert found.tensor == known.tensor
    assert np.array_equal(found.mean, known.mean) and np.array_equal(found.variance, known.variance)


def test_a_model_of_two_inputs_or_without_such_batch_norms_has_no_front() -> None:
    assert affine_front(chain({"x": [1, 3, 4, 4], "z": [1]})) is None
    assert affine_front(network([CONV], {"x": [1, 3, 4, 4]}, ["c"], CONSTANTS)) is None


def test_preparation_leaves_the_front_as_it_was(sample_models: Path) -> None:
    path = sample_models / "digits_resnet.onnx"
    original, front = load(path).ir, load_prepared(path).front
    assert front is not None
    feeds = {"image": np.linspace(0, 1, 256, dtype=np.float32).reshape(1, 1, 16, 16)}
    names = [norm.tensor for norms in affine_batchnorms(front.graph).values() for norm in norms]
    assert names
    for a, b in zip(*(open_session(m, outputs=names, threads=1).run(None, feeds) for m in (original, front)), strict=True):
        assert np.array_equal(a, b)

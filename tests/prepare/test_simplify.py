from __future__ import annotations

import logging

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper

from qconv.model.graph import const_array
from qconv.prepare.simplify import _share_equal_nodes, simplify

from .graphs import Array, changes, graph, ints, node, ops, rand


def test_constant_expressions_are_folded() -> None:
    nodes = [
        node("ConstantOfShape", "shape", "w", value=helper.make_tensor("v", onnx.TensorProto.FLOAT, [1], [0.5])),
        node("Transpose", "w", "t"),
        node("MatMul", "x t", "y"),
    ]
    model = graph(nodes, {"x": (2, 3)}, "y", {"shape": ints(4, 3)})
    assert changes(simplify, model) == 2
    assert ops(model) == ["MatMul"]
    assert np.array_equal(const_array(model.graph[0].inputs[1]), np.full((3, 4), 0.5))  # type: ignore[arg-type]


def test_a_constant_beyond_the_bound_stays_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(simplify.__globals__, "LARGEST_CONSTANT", 100)
    nodes = [node("ConstantOfShape", "shape", "w"), node("MatMul", "x w", "y")]
    model = graph(nodes, {"x": (2, 3)}, "y", {"shape": ints(3, 40)})
    assert changes(simplify, model) == 0


def test_an_absurd_constant_is_not_even_tried() -> None:
    nodes = [node("ConstantOfShape", "shape", "w"), node("Relu", "w", "y")]
    model = graph(nodes, {"x": (2, 3)}, "y", {"shape": ints(1 << 20, 1 << 20)})
    assert simplify(model) == 0
    assert ops(model) == ["ConstantOfShape", "Relu"]


def test_pads_computed_from_constants_are_folded() -> None:
    nodes = [
        node("ConstantOfShape", "four", "zeros", value=helper.make_tensor("v", onnx.TensorProto.INT64, [1], [0])),
        node("Concat", "ends zeros", "flat", axis=0),
        node("Reshape", "flat two", "table"),
        node("Transpose", "table", "turned", perm=[1, 0]),
        node("Reshape", "turned all", "pads"),
        node("Pad", "x pads", "y"),
    ]
    constants = {"four": ints(4), "ends": ints(0, 2, 0, 1), "two": ints(4, 2), "all": ints(-1)}
    model = graph(nodes, {"x": ("N", 2, 3, 3)}, "y", constants)
    assert changes(simplify, model) == 5
    assert ops(model) == ["Pad"]


def test_equal_expressions_over_equal_constants_are_one() -> None:
    nodes = [node("Mul", "x a", "p"), node("Mul", "x b", "q"), node("Add", "p q", "y")]
    constants: dict[str, Array] = {"a": np.array(2, np.float32), "b": np.array(2, np.float32)}
    model = graph(nodes, {"x": (2, 3)}, "y", constants)
    assert changes(simplify, model) == 1
    assert ops(model) == ["Mul", "Add"]


def test_dead_nodes_and_constants_go() -> None:
    nodes = [node("Relu", "x", "y"), node("MatMul", "x w", "z")]
    model = graph(nodes, {"x": (2, 3)}, "y", {"w": rand(3, 3)})
    assert changes(simplify, model) == 1
    assert not model.graph.initializers


def test_names_survive_a_rewrite() -> None:
    nodes = [node("Transpose", "x", "t", perm=[0, 2, 1]), node("Transpose", "t", "y", perm=[2, 1, 0])]
    model = graph(nodes, {"x": (2, 3, 4)})
    assert changes(simplify, model) == 1
    assert (model.graph[0].name, model.graph[0].outputs[0].name) == ("node_y", "y")


def test_a_branch_that_is_never_taken_goes() -> None:
    taken = helper.make_graph([node("Relu", "x", "r")], "taken", [], [onnx.ValueInfoProto(name="r")])
    other = helper.make_graph([node("Neg", "x", "n")], "other", [], [onnx.ValueInfoProto(name="n")])
    nodes = [node("If", "yes", "b", then_branch=taken, else_branch=other), node("Neg", "b", "y")]
    model = graph(nodes, {"x": (2, 3)}, "y", {"yes": np.array(True)})
    changes(simplify, model)
    assert ops(model) == ["Relu", "Neg"]


def test_unknown_sizes_stay_unknown() -> None:
    nodes = [node("Shape", "x", "s"), node("Expand", "one s", "e"), node("Add", "x e", "y")]
    model = graph(nodes, {"x": ("N", 3)}, "y", {"one": rand(1, 1)})
    changes(simplify, model, unknown=5)
    assert isinstance(model.graph.inputs[0].shape, ir.Shape)
    assert not isinstance(model.graph.inputs[0].shape[0], int)
    assert "Shape" in ops(model)


def test_the_libraries_stay_silent_and_their_loggers_as_they_were(caplog: pytest.LogCaptureFixture) -> None:
    levels = [logging.getLogger(name).level for name in ("onnxscript", "onnx_ir")]
    nodes = [node("Reshape", "w wrong", "r"), node("Add", "x r", "y")]
    model = ir.from_proto(
        helper.make_model(
            helper.make_graph(
                nodes,
                "wrong",
                [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2])],
                [onnx.ValueInfoProto(name="y")],
                [onnx.numpy_helper.from_array(rand(3), "w"), onnx.numpy_helper.from_array(ints(7), "wrong")],
            )
        )
    )
    simplify(model)
    assert not caplog.records
    assert [logging.getLogger(name).level for name in ("onnxscript", "onnx_ir")] == levels


def test_an_attribute_that_is_a_type_is_no_defect() -> None:
    model = graph([node("Relu", "x", "y")], {"x": (1, 2)})
    kind = ir.TypeAndShape(ir.OptionalType(ir.TensorType(ir.DataType.FLOAT)), ir.Shape([2]))
    empty = ir.Node("", "Optional", [], [ir.AttrTypeProto("type", kind)], outputs=[ir.Value(name="z")], name="empty")
    model.graph.append(empty)
    model.graph.outputs.append(empty.outputs[0])
    assert not _share_equal_nodes(model)

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from qconv.prepare.remove_noops import remove_noops

from .graphs import Array, changes, graph, ints, node, ops

CONSTANTS: dict[str, Array] = {
    "none": np.zeros(6, np.int64),
    "zero": ints(0),
    "end": ints(2**63 - 1),
    "axis": ints(-1),
    "three": ints(3),
    "same": ints(-1, 4, 3),
    "half": ints(2),
    "no": np.array(False),
    "yes": np.array(True),
    "ratio": np.array(0.5, np.float32),
}
NOOPS = [
    node("Identity", "h", "m"),
    node("Dropout", "h", "m"),
    node("Dropout", "h ratio no", "m"),
    node("Concat", "h", "m", axis=0),
    node("Sum", "h", "m"),
    node("Max", "h", "m"),
    node("MaxPool", "h", "m", kernel_shape=[1]),
    node("AveragePool", "h", "m", kernel_shape=[1], strides=[1]),
    node("Pad", "h none", "m"),
    node("Slice", "h zero end axis", "m"),
    node("Slice", "h zero three axis", "m"),
    node("Reshape", "h same", "m"),
    node("Split", "h", "m", num_outputs=1),
]
EFFECTIVE = [
    node("MaxPool", "h", "m", kernel_shape=[1], strides=[2]),
    node("AveragePool", "h", "m", kernel_shape=[2]),
    node("Slice", "h zero half axis", "m"),
    node("Slice", "h zero three zero", "m"),
    node("Sum", "h h", "m"),
    node("Flatten", "h", "m"),
]


def around(step: onnx.NodeProto) -> Any:
    return graph([node("Neg", "x", "h"), step, node("Relu", "m", "y")], {"x": ("N", 4, 3)}, "y", CONSTANTS)


@pytest.mark.parametrize("step", NOOPS)
def test_what_changes_nothing_goes(step: onnx.NodeProto) -> None:
    model = around(step)
    assert changes(remove_noops, model) == 1
    assert ops(model) == ["Neg", "Relu"]


@pytest.mark.parametrize("step", EFFECTIVE)
def test_what_changes_something_stays(step: onnx.NodeProto) -> None:
    model = around(step)
    assert changes(remove_noops, model) == 0


def test_dropout_that_trains_stays() -> None:
    model = around(node("Dropout", "h ratio yes", "m"))
    assert remove_noops(model) == 0


def test_dropout_whose_mask_is_read_stays() -> None:
    model = graph([node("Dropout", "x", "y mask")], {"x": (2, 3)}, "y mask")
    assert changes(remove_noops, model) == 0


def test_a_graph_output_keeps_its_name() -> None:
    model = graph([node("Neg", "x", "h"), node("Identity", "h", "y")], {"x": (2, 3)}, "y")
    assert changes(remove_noops, model) == 1
    assert model.graph[0].outputs[0].name == "y"


@pytest.mark.parametrize("outputs", ["y h", "h y"])
def test_two_outputs_for_one_value_keep_both_names(outputs: str) -> None:
    model = graph([node("Neg", "x", "h"), node("Identity", "h", "y")], {"x": (2, 3)}, outputs)
    assert changes(remove_noops, model) == 0


def test_an_input_that_is_an_output_keeps_an_identity() -> None:
    model = graph([node("Dropout", "x", "y"), node("Relu", "y", "z")], {"x": (2, 3)}, "y z")
    assert changes(remove_noops, model) == 1
    assert ops(model) == ["Identity", "Relu"]
    assert changes(remove_noops, model) == 0


def test_a_reshape_that_swaps_unknown_sizes_stays() -> None:
    nodes = [node("Shape", "x", "s"), node("Gather", "s order", "t"), node("Reshape", "x t", "y")]
    model = graph(nodes, {"x": ("H", "W")}, "y", {"order": ints(1, 0)})
    assert changes(remove_noops, model) == 0

"""The executor on whole graphs."""

from __future__ import annotations

import weakref

import numpy as np
import onnx_ir as ir
import pytest

from qconv.errors import ModelError
from qconv.integer.execution.executor import Executor
from qconv.integer.program import Program
from tests.integer.graphs import ISLAND, graph, sample
from tests.integer.onenode import assert_equal, codes, f32, one_node, zero


def by_hand(x: np.ndarray) -> dict[str, np.ndarray]:
    """The integer graph of `graphs`, written out in float64, where every step is exact."""
    q = np.clip(np.rint(x / 0.5) + 128, 0, 255)
    weight, bias = np.array([[1.0, -2.0], [3.0, 4.0]]), np.array([5.0, -7.0])
    acc = np.einsum("mc,nchw->nmhw", weight, q - 128.0) + bias.reshape(1, 2, 1, 1)
    c = np.clip(np.rint(acc / 8) + 100, 0, 255)
    r = np.maximum(c, 90)
    y = np.clip(np.rint((r - 100) / 2 + (q - 128) / 4 + 60), 0, 255)
    return {"x_quantized": q, "c_quantized": c, "r_quantized": r, "y_quantized": y, "y": (y - 60) * 2}


def test_every_tensor_of_a_graph() -> None:
    feeds = sample()
    values = Executor(Program.read(graph())).run(feeds)
    expected = by_hand(feeds["x"].astype(np.float64))
    assert set(values) == {"x", *expected}
    for name, array in expected.items():
        assert np.array_equal(values[name], array), name
    assert values["y_quantized"].dtype == np.uint8
    assert values["y"].dtype == np.float32


def test_outputs_of_float_islands_are_given() -> None:
    model, feeds = graph(ISLAND), sample()
    executor = Executor(Program.read(model))
    assert [step.name for step in executor.foreign] == ["softplus"]
    with pytest.raises(ModelError, match=r"node 'softplus' \(Softplus\) is outside the integer language"):
        executor.run(feeds)
    island = np.full((1, 2, 6, 6), 3.0, np.float32)
    values = executor.run(feeds, {"r": island})
    assert values["r"] is island
    assert (values["r_quantized"] == 103).all()


def test_a_given_tensor_is_not_computed() -> None:
    codes_of_c = np.full((1, 2, 6, 6), 7, np.uint8)
    values = Executor(Program.read(graph())).run(sample(), {"c_quantized": codes_of_c})
    assert (values["r_quantized"] == 90).all()


def test_a_missing_input_is_named() -> None:
    with pytest.raises(ModelError, match="the input 'x' is missing"):
        Executor(Program.read(graph())).run({})


def test_a_graph_out_of_order_is_refused() -> None:
    model = graph()
    nodes = list(model.graph)
    model.graph.remove(nodes[2])
    model.graph.append(nodes[2])
    with pytest.raises(ModelError, match="'r_quantized' is used before it is made"):
        Executor(Program.read(model)).run(sample())


def test_what_a_kernel_cannot_compute_names_the_node() -> None:
    """2^17 products of 255 * 127 do not fit in int32."""
    inputs = [
        np.full((1, 1 << 17), 255, np.uint8),
        f32(1),
        zero(0),
        np.full((1 << 17, 1), 127, np.int8),
        f32(1),
        zero(0, np.int8),
    ]
    model, feeds = one_node("QLinearMatMul", [*inputs, f32(1), zero(0)])
    with pytest.raises(ModelError, match=r"node 'node' \(QLinearMatMul\) cannot be computed in integers: .* int32"):
        Executor(Program.read(ir.from_proto(model))).run(feeds)


def test_inputs_that_are_initializers_may_be_left_out() -> None:
    model, feeds = one_node("Max", [codes(np.random.default_rng(0), (5,)), zero(9)])
    graph_input = model.graph.input.add()
    graph_input.CopyFrom(model.graph.input[0])
    graph_input.name = "i1"
    del graph_input.type.tensor_type.shape.dim[:]
    assert_equal(model, feeds)


def test_packed_weights() -> None:
    """An int4 initializer in front of a Cast, as weights below 8 bits are stored."""
    weight = ir.tensor(np.array([[1, -8], [7, 3]], np.int8).astype(ir.DataType.INT4.numpy()), name="w")
    value = ir.Value(name="w", const_value=weight, type=ir.TensorType(ir.DataType.INT4), shape=ir.Shape((2, 2)))
    cast = ir.node("Cast", [value], {"to": int(ir.DataType.INT8)})
    cast.outputs[0].name = "codes"
    model = ir.Model(ir.Graph([], [cast.outputs[0]], nodes=[cast], initializers=[value], opset_imports={"": 21}), ir_version=10)
    assert Executor(Program.read(model)).run({})["codes"].tolist() == [[1, -8], [7, 3]]


def test_a_stream_frees_tensors_after_their_last_reader() -> None:
    held: list[weakref.ref[np.ndarray]] = []
    names = []
    for operand, array in Executor(Program.read(graph())).stream(sample()):
        names.append(operand.name)
        if operand.name in ("c_quantized", "r_quantized"):
            held.append(weakref.ref(array))
        del array
        if operand.name == "y":
            assert [reference() for reference in held] == [None, None]
    assert names == ["x", "x_quantized", "c_quantized", "r_quantized", "y_quantized", "y"]

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.prepare.separate_weights import separate_weights

from .graphs import changes, graph, node, rand


def test_every_layer_gets_its_own() -> None:
    nodes = [node("Conv", "x w b", "h"), node("Conv", "h w b", "g"), node("Add", "g b", "y")]
    model = graph(nodes, {"x": (1, 3, 3, 3)}, "y", {"w": rand(3, 3, 1, 1), "b": rand(3)})
    assert changes(separate_weights, model) == 3
    weights = [value for step in model.graph if step.op_type == "Conv" for value in step.inputs[1:]]
    assert len(set(weights)) == 4
    assert changes(separate_weights, model) == 0


def test_the_arrays_stay_shared() -> None:
    nodes = [node("MatMul", "x w", "h"), node("MatMul", "h w", "y")]
    model = graph(nodes, {"x": (3, 3)}, "y", {"w": rand(3, 3)})
    model.graph.initializers["w"].const_value = ir.Tensor(rand(3, 3), name="w")
    assert separate_weights(model) == 1
    first, second = (step.inputs[1] for step in model.graph)
    assert first is not None and second is not None and first is not second
    assert first.const_value is not None and second.const_value is not None
    assert np.shares_memory(first.const_value.numpy(), second.const_value.numpy())

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from qconv.data_free.running_statistics import remembered_layers
from qconv.model.graph import const_array
from qconv.pipeline import load_prepared
from qconv.pipeline.prepared import with_batchnorms


def test_computed_weights_are_constants_and_batch_norms_stay(tmp_path: Path) -> None:
    constants = {"one": np.ones(2), "w": np.ones((2, 1, 3, 3)), "zero": np.zeros(2)}
    nodes = [
        helper.make_node("Add", ["w", "w"], ["weight"]),
        helper.make_node("Conv", ["x", "weight"], ["c"]),
        helper.make_node("Add", ["one", "one"], ["variance"]),
        helper.make_node("BatchNormalization", ["c", "one", "zero", "zero", "variance"], ["y"], name="norm"),
    ]
    initializers = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in constants.items()]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, count, None, None]) for name, count in (("x", 1), ("y", 2))
    )
    graph = helper.make_graph(nodes, "computed", [x], [y], initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    found = with_batchnorms(tmp_path / "m.onnx").graph
    assert [node.op_type for node in found] == ["Conv", "BatchNormalization"]
    weight = const_array(found[0].inputs[1])
    assert weight is not None and np.array_equal(weight, np.full((2, 1, 3, 3), 2, np.float32))
    (layer,) = remembered_layers(found)
    assert (layer.name, layer.tensor, *layer.variance) == ("norm", "c", 2 + 1e-5, 2 + 1e-5)
    assert [node.op_type for node in load_prepared(tmp_path / "m.onnx").ir.graph] == ["Conv"]

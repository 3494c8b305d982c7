"""Small networks for the tests of calibration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from qconv.data.source import Sample

Shape = Sequence[int | str | None]


def network(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Shape],
    outputs: Sequence[str],
    constants: Mapping[str, NDArray[Any]] | None = None,
    types: Mapping[str, int] | None = None,
) -> ir.Model:
    """A model of opset 21 with inferred shapes; inputs are float32 unless `types` says otherwise."""
    kinds = dict(types or {})
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return ir.serde.deserialize_model(onnx.shape_inference.infer_shapes(model))


def conv_relu_pool() -> ir.Model:
    """x [?, 3, 8, 8] -> Conv "c" -> Relu "r" -> GlobalAveragePool "y"."""
    weight = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["y"], name="pool"),
    ]
    return network(nodes, {"x": ["N", 3, 8, 8]}, ["y"], {"w": weight})


class Listed:
    """Arrays for the input `name`, as a source."""

    description = "listed arrays"
    warning: str | None = None

    def __init__(self, arrays: Sequence[NDArray[Any]], name: str = "x") -> None:
        self._arrays, self._name = list(arrays), name

    def __len__(self) -> int:
        return len(self._arrays)

    def __iter__(self) -> Iterator[Sample]:
        for index, array in enumerate(self._arrays):
            yield Sample({self._name: array}, None, f"listed[{index}]")


def pictures(count: int, seed: int = 0) -> list[NDArray[np.float32]]:
    """Arrays of shape [1, 3, 8, 8]."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((1, 3, 8, 8)).astype(np.float32) for _ in range(count)]

"""Pairs in the domain of onnxruntime, which its own quantizer writes for 4 and 16 bits below opset 21."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.verify.measure.sides import Side
from tests.lower.harness import Given, normal

MS = "com.microsoft"
KEEPS = QuantConfig(target="x86-vnni")
CODES = np.random.default_rng(0).integers(-7, 8, (4, 3, 3, 3))
CONSTANTS = {
    "sx": np.asarray(0.02, np.float32), "sy": np.asarray(0.05, np.float32),
    "sw": np.asarray([0.1, 0.05, 0.2, 0.1], np.float32),
}  # fmt: skip


def pair(source: str, scale: str, zero: str, into: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [source, scale, zero], [f"{into}_codes"], domain=MS),
        helper.make_node("DequantizeLinear", [f"{into}_codes", scale, zero], [into], domain=MS),
    ]


def write(path: Path, weight: int, activation: int) -> Path:
    """y = pair(Conv(pair(x), w)), with types for codes of weights and activations."""
    small = weight == TensorProto.INT4
    middle = 128 if activation == TensorProto.UINT8 else 1 << 15
    nodes = [
        *pair("x", "sx", "z", "xd"),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"], domain=MS, axis=0),
        helper.make_node("Conv", ["xd", "wd"], ["c"]),
        *pair("c", "sy", "z", "y"),
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in CONSTANTS.items()]
    constants += [helper.make_tensor("w", weight, CODES.shape, CODES.reshape(-1).tolist())]
    constants += [helper.make_tensor("zw", weight, (4,), [0] * 4), helper.make_tensor("z", activation, (), [middle])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 6, 6])
    graph = helper.make_graph(nodes, "g", [x], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MS, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10 if small else 8), path)
    return path


@pytest.mark.parametrize("activation", [TensorProto.UINT8, TensorProto.UINT16])
@pytest.mark.parametrize("weight", [TensorProto.INT4, TensorProto.INT8])
def test_their_parameters_are_taken(tmp_path: Path, weight: int, activation: int) -> None:
    path = write(tmp_path / "m.onnx", weight, activation)
    feeds = [{"x": normal(1, 3, 6, 6, seed=seed)} for seed in range(12)]
    result = pipeline.quantize(path, pipeline.calibrate(path, Given(feeds), config=KEEPS), config=KEEPS)
    assert result.audit.integer_only
    assert result.imported[0].startswith("used 3 of 3 scales" if activation == TensorProto.UINT8 else "used 1 of 1 scales")
    (weight_params,) = (params for params in result.plan.tensors.values() if params.int_type.narrow or params.axis == 0)
    assert np.array_equal(weight_params.scale, CONSTANTS["sw"])
    result.save(tmp_path / "m.int8.onnx")
    before, after = (np.stack([Side(file).run(feed)[0] for feed in feeds]) for file in (path, tmp_path / "m.int8.onnx"))
    if activation == TensorProto.UINT8:
        assert np.abs(before - after).max() <= 1.01 * 0.05  # a code, for sums that lie between two of them
    else:  # 16 bits become 8
        assert np.square(before - after).mean() < 1e-3 * before.var()

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
from onnx import numpy_helper

from qconv.model.light import attach_weights, detach_weights, light_model
from qconv.model.load import load
from qconv.model.session import open_session

from .files import external, linear, write


def test_large_tensors_leave_the_message() -> None:
    big = np.ones((1 << 19, 2), np.float32)
    proto = linear()
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(big, "big"))
    proto.graph.initializer.append(numpy_helper.from_array(big, "dead"))
    proto.graph.node[0].input[1] = "big"
    model = ir.from_proto(proto)
    light = light_model(model)
    assert light.proto.ByteSize() < 1000
    assert light.nbytes == light.proto.ByteSize() + big.nbytes
    assert list(light.arrays) == ["big"]
    assert not light.arrays["big"].flags.owndata
    assert light.folder is None
    assert [tensor.name for tensor in light.proto.graph.initializer] == ["big"]
    assert model.graph.initializers["big"].const_value.nbytes == big.nbytes  # type: ignore[union-attr]


def test_mapped_tensors_stay_in_their_file(tmp_path: Path) -> None:
    weight = np.ones((3, 2), np.float32)
    (tmp_path / "w.bin").write_bytes(weight.tobytes())
    proto = linear()
    proto.graph.initializer[0].CopyFrom(external("w", weight, "w.bin"))
    light = light_model(load(write(tmp_path, proto)).ir)
    assert light.folder == tmp_path.resolve()
    assert not light.arrays


def test_detached_weights_come_back() -> None:
    proto = linear()
    proto.graph.initializer.append(numpy_helper.from_array(np.ones(4096, np.float32), "big"))
    model = ir.from_proto(proto)
    tensors = detach_weights(model)
    assert list(tensors) == ["big"]
    assert [value.name for value in model.graph.inputs] == ["x", "big"]
    attach_weights(model, tensors)
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert sorted(model.graph.initializers) == ["big", "w"]


def test_a_model_of_more_than_2_gb_loads_and_runs(tmp_path: Path) -> None:
    """A table of which a few rows are read; the file has holes and takes no space."""
    rows, width = 66_000, 8192
    with (tmp_path / "w.bin").open("wb") as file:
        file.truncate(4 * rows * width)
        file.seek(4 * width)
        file.write(np.ones(width, np.float32).tobytes())
    table = np.broadcast_to(np.float32(0), (rows, width))
    proto = linear(13)
    proto.graph.ClearField("initializer")
    proto.graph.initializer.append(external("w", table, "w.bin"))
    proto.graph.input[0].type.tensor_type.elem_type = 7
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    proto.graph.node[0].op_type = "Gather"
    proto.graph.node[0].input[:] = ["w", "x"]
    model = load(write(tmp_path, proto)).ir
    rows_found = open_session(model, threads=1).run(None, {"x": np.array([0, 1, 2], np.int64)})[0]
    assert rows_found.sum(axis=1).tolist() == [0, width, 0]

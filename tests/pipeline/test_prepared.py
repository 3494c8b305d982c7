from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from qconv.cli.main import run
from qconv.data_free.running_statistics import remembered_layers
from qconv.model import load, read
from qconv.model.graph import const_array
from qconv.pipeline import calibrate, load_prepared


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
    found = load_prepared(tmp_path / "m.onnx").with_batchnorms.graph
    assert [node.op_type for node in found] == ["Conv", "BatchNormalization"]
    weight = const_array(found[0].inputs[1])
    assert weight is not None and np.array_equal(weight, np.full((2, 1, 3, 3), 2, np.float32))
    (layer,) = remembered_layers(found)
    assert (layer.name, layer.tensor, *layer.variance) == ("norm", "c", 2 + 1e-5, 2 + 1e-5)
    assert [node.op_type for node in load_prepared(tmp_path / "m.onnx").ir.graph] == ["Conv"]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The model files that are parsed, in order, whoever parses them."""
    found: list[Path] = []

    def counted(parse: Callable[..., Any]) -> Callable[..., Any]:
        def reading(path: Path, *args: Any, **kwargs: Any) -> Any:
            found.append(Path(path))
            return parse(path, *args, **kwargs)

        return reading

    for module, name in ((load, "read_model"), (read, "read_model"), (ir, "load"), (onnx, "load"), (onnx, "load_model")):
        monkeypatch.setattr(module, name, counted(getattr(module, name)))
    return found


def test_calibrating_without_data_parses_the_model_once(sample_models: Path, reads: list[Path]) -> None:
    model = sample_models / "digits_mobilenet.onnx"
    calibrate(model, samples=4)
    assert reads == [model]


def test_every_command_parses_each_model_once(sample_models: Path, reads: list[Path], tmp_path: Path) -> None:
    model, samples = tmp_path / "m.onnx", str(sample_models / "digits_calib.npz")
    model.write_bytes((sample_models / "digits_mobilenet.onnx").read_bytes())
    few, integer = ["--samples", "4"], model.with_suffix(".int8.onnx")
    for command in (["calibrate", "--data", samples, *few], ["quantize"], ["verify", *few]):
        assert run([command[0], str(model), *command[1:]]) == 0
    assert known(reads, tmp_path) == [model, model, integer, model]  # which tells what inputs it has as constants


def test_samples_of_its_own_make_no_command_parse_twice(sample_models: Path, reads: list[Path], tmp_path: Path) -> None:
    """They are looked at beside the calibration of the model, whose digest tells whether it is of that model."""
    model, samples = tmp_path / "m.onnx", ["--data", str(sample_models / "digits_calib.npz"), "--samples", "4"]
    model.write_bytes((sample_models / "digits_mobilenet.onnx").read_bytes())
    for command in ("calibrate", "quantize", "verify"):
        assert run([command, str(model), *samples]) == 0
    assert known(reads, tmp_path) == [model, model, model.with_suffix(".int8.onnx"), model]


def known(reads: list[Path], folder: Path) -> list[Path]:
    """The files that a person knows, without the graphs that onnxruntime writes on the way."""
    return [path for path in reads if path.parent == folder]

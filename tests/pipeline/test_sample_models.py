"""The sample transformers, the LSTM and the detector: integer-only by default, exact, as good as in float, and exported whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from benchmarks.cases import score_of_digits
from qconv import pipeline
from qconv.export.trace import network_of
from qconv.integer.execution.compare import mismatches
from qconv.integer.execution.executor import Executor
from qconv.integer.program import Program
from qconv.verify.measure.sides import Side
from tests.export.test_network import by_table
from tests.lower.harness import Array, Given

SAMPLES = {"digits_vit": "digits", "digits_bert": "digits_words", "digits_lstm": "digits", "digits_yolo": "digits_scenes"}
MASKS = [-np.inf, -1e4, float(np.finfo(np.float32).min)]
LOSS = 0.006  # of the score


def arrays(folder: Path, name: str, part: str) -> dict[str, Array]:
    with np.load(folder / f"{SAMPLES[name]}_{part}.npz") as file:
        return dict(file)


def integer(path: Path, name: str, folder: Path) -> pipeline.Quantized:
    """The default integer model from half of the calibration samples."""
    found = arrays(folder, name, "calib")
    count = len(next(iter(found.values()))) // 2
    feeds = [{key: array[i : i + 1] for key, array in found.items()} for i in range(count)]
    return pipeline.quantize(path, pipeline.calibrate(path, Given(feeds)))


def scores(path: Path, result: pipeline.Quantized, name: str, folder: Path, target: Path) -> tuple[float, float]:
    """In float and in integers, over all samples of the test."""
    result.save(target)
    found = arrays(folder, name, "test")
    first, second = (score_of_digits(Side(model).run(found)[0], found) for model in (path, target))
    return first, second


@pytest.mark.parametrize("name", SAMPLES)
def test_integer_only_exact_and_as_good(name: str, sample_models: Path, tmp_path: Path) -> None:
    path = sample_models / f"{name}.onnx"
    result = integer(path, name, sample_models)
    assert result.audit.integer_only
    assert not result.plan.float_nodes
    certificates = [step.certificate for step in result.lowering.program.quantized if step.certificate is not None]
    assert all(c.proved == c.scales for c in certificates)
    floats, integers = scores(path, result, name, sample_models, tmp_path / "m.int8.onnx")
    assert floats > 0.94
    assert integers >= floats - LOSS
    feeds = {key: array[:1] for key, array in arrays(sample_models, name, "calib").items()}
    assert mismatches(result.model, feeds) == []
    network = network_of(result.model)
    values = Executor(Program.read(result.model)).run(feeds)
    given = {tensor: values[tensor] for tensor in network.inputs}
    found = by_table(network, tmp_path, given)
    assert all(np.array_equal(found[output], values[output]) for output in network.outputs)


@pytest.mark.parametrize("value", MASKS)
@pytest.mark.parametrize("name", ["digits_bert", "digits_vit"])
def test_masks_of_any_size(name: str, value: float, sample_models: Path, tmp_path: Path) -> None:
    """The padding of sentences, and the corners of pictures."""
    model = onnx.load(sample_models / f"{name}.onnx")
    if name == "digits_bert":
        fill_masks(model.graph, value)
    else:
        hide_corners(model.graph, value)
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    result = integer(path, name, sample_models)
    assert result.audit.integer_only
    floats, integers = scores(path, result, name, sample_models, tmp_path / "m.int8.onnx")
    assert floats > 0.94
    assert integers >= floats - LOSS


def fill_masks(graph: onnx.GraphProto, value: float) -> None:
    """Lets the masks of the encoder be this number."""
    changed = 0
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and (numpy_helper.to_array(tensor) < -1e30).all():
            tensor.CopyFrom(numpy_helper.from_array(np.full(tensor.dims, value, np.float32), tensor.name))
            changed += 1
    assert changed == 1


def hide_corners(graph: onnx.GraphProto, value: float) -> None:
    """Adds this number to the scores of the patches in the four corners."""
    mask = np.zeros((1, 1, 1, 17), np.float32)
    mask[..., [1, 4, 13, 16]] = value
    graph.initializer.append(numpy_helper.from_array(mask, "corners"))
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        if node.op_type == "Softmax":
            graph.node.append(helper.make_node("Add", [node.input[0], "corners"], [f"{node.name}_masked"], f"{node.name}_mask"))
            node.input[0] = f"{node.name}_masked"
        graph.node.append(node)

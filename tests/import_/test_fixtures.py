"""Small networks that other tools trained and exported (fixtures/make_*.py): all scales are used, and codes come back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from qconv import pipeline
from qconv.integer.execution.executor import Executor
from qconv.integer.program import Program
from qconv.model.load import load
from qconv.model.session import open_session
from qconv.pipeline.prepared import load_prepared
from qconv.pipeline.quantize import Quantized
from tests.lower.harness import Array, Given

FIXTURES = Path(__file__).parent / "fixtures"
SAMPLES = 100


@dataclass(frozen=True)
class Expected:
    """How many scales a network has, which part of its output codes may differ, by how many, and how many classes stay.

    The original adds up in float32, which falls on the other side of a half now and then; a code of 4 bits moves several of 8.
    ModelOpt leaves sums and the output in float, pt2e the output, which are rounded here.
    """

    scales: int
    differing: float = 0.02
    largest: int = 1
    classes: float = 1.0


NETWORKS = {
    "brevitas_qcdq_w8": Expected(7, 0.04),
    "brevitas_qcdq_w4": Expected(7, 0.04, 5),
    "brevitas_qonnx_w3": Expected(7, 0.02, 3),
    "brevitas_qonnx_trunc": Expected(7),
    "modelopt": Expected(6, 1.0, 6, 0.98),
    "pt2e": Expected(7, 1.0, 1, 0.98),
    "tensorflow_lite": Expected(9),
    "tensorflow_faked": Expected(8),
}


@pytest.fixture(scope="module")
def images(sample_models: Path) -> Array:
    with np.load(sample_models / "digits_test.npz") as data:
        found = data["image"][:SAMPLES]
    return np.asarray(found.reshape(SAMPLES, 1, 8, 2, 8, 2).mean((3, 5)), np.float32)


def feeds_of(path: Path, images: Array) -> list[dict[str, Array]]:
    """The images as a network takes them: in its layout, as codes where its input is one of codes."""
    (value,) = (v for v in load(path).ir.graph.inputs if v.const_value is None)
    assert value.shape is not None
    shape = [size if isinstance(size, int) else 1 for size in value.shape]
    codes = value.dtype == ir.DataType.INT8
    return [
        {str(value.name): (np.rint(image * 255 - 128).astype(np.int8) if codes else image).reshape(shape)} for image in images
    ]


def plain_session(path: Path) -> ort.InferenceSession:
    """The original as it stands: onnxruntime's optimizer rounds float weights between codes anew, one scale for a tensor."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = ir.to_proto(load(path).ir).SerializeToString()
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def made(name: str, images: Array) -> Quantized:
    path = FIXTURES / f"{name}.onnx"
    return pipeline.quantize(path, pipeline.calibrate(path, Given(feeds_of(path, images))))


@pytest.mark.parametrize("name", NETWORKS)
def test_output_codes_come_back(name: str, images: Array, tmp_path: Path) -> None:
    expected, path, result = NETWORKS[name], FIXTURES / f"{name}.onnx", made(name, images[::4])
    assert result.audit.integer_only
    assert result.imported[0].split(";")[0] == f"used {expected.scales} of {expected.scales} scales that were given"
    result.save(tmp_path / "m.int8.onnx")
    sides = plain_session(path), open_session(tmp_path / "m.int8.onnx")
    before, after = (
        np.concatenate([side.run(None, feed)[0] for feed in feeds_of(path, images)]).astype(np.float64) for side in sides
    )
    output = str(load_prepared(path).ir.graph.outputs[0].name)
    step = 1.0 if result.model.graph.outputs[0].dtype == ir.DataType.INT8 else float(result.plan.tensors[output].scale)
    differences = np.rint(np.abs(before - after) / step)
    assert differences.max() <= expected.largest
    assert np.mean(differences > 0) <= expected.differing
    assert np.mean(before.argmax(1) == after.argmax(1)) >= expected.classes


def test_signs_are_thresholds(images: Array) -> None:
    """Not one sign of a binary network turns, though batch norms lie in front of them."""
    result, original = made("brevitas_qonnx_binary", images[::4]), load(FIXTURES / "brevitas_qonnx_binary.onnx").ir
    assert result.audit.integer_only
    assert result.imported[0].startswith("used 6 of 6 scales that were given")
    signs = [node.outputs[0] for node in original.graph if node.op_type == "Where"]
    assert len(signs) == 2
    original.graph.outputs.extend(signs)
    session, executor = open_session(original), Executor(Program.read(result.model))
    for image in images[:20]:
        feed = {"image": image[None]}
        _, *before = session.run(None, feed)
        values = executor.run(feed)
        for sign, reals in zip(signs, before, strict=True):
            codes, params = values[f"{sign.name}_quantized"], result.plan.tensors[str(sign.name)]
            assert np.array_equal(params.dequantize(codes), reals)

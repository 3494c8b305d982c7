"""Small networks that other tools trained and exported (fixtures/make_*.py): all scales are used, and codes come back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.integer.execution.executor import Executor
from qconv.model.load import load
from qconv.model.session import open_session
from qconv.pipeline.quantize import Quantized
from qconv.verify.sides import Side
from tests.lower.harness import Array

FIXTURES = Path(__file__).parent / "fixtures"
SAMPLES = 100


@dataclass(frozen=True)
class Expected:
    """How many scales a network has, and which part of its output codes may differ, by how many.

    The original adds up in float32, which falls on the other side of a half now and then; a code of 4 bits moves several of 8.
    """

    scales: int
    differing: float
    largest: int = 1


NETWORKS = {
    "brevitas_qcdq_w8": Expected(7, 0.04),
    "brevitas_qcdq_w4": Expected(7, 0.04, 5),
    "brevitas_qonnx_w3": Expected(7, 0.02, 3),
    "brevitas_qonnx_trunc": Expected(7, 0.02),
}


@pytest.fixture(scope="module")
def images(sample_models: Path) -> Array:
    with np.load(sample_models / "digits_test.npz") as data:
        found = data["image"][:SAMPLES]
    return np.asarray(found.reshape(SAMPLES, 1, 8, 2, 8, 2).mean((3, 5)), np.float32)


def made(name: str) -> Quantized:
    path = FIXTURES / f"{name}.onnx"
    return pipeline.quantize(path, pipeline.calibrate(path))


@pytest.mark.parametrize("name", NETWORKS)
def test_output_codes_come_back(name: str, images: Array, tmp_path: Path) -> None:
    expected, result = NETWORKS[name], made(name)
    assert result.audit.integer_only
    assert result.imported[0].split(";")[0] == f"used {expected.scales} of {expected.scales} scales that were given"
    result.save(tmp_path / "m.int8.onnx")
    step = float(result.plan.tensors["logits"].scale)
    before, after = (
        np.concatenate([side.run({"image": image[None]})[0] for image in images])
        for side in (Side(FIXTURES / f"{name}.onnx"), Side(tmp_path / "m.int8.onnx"))
    )
    differences = np.rint(np.abs(before - after) / step)
    assert differences.max() <= expected.largest
    assert np.mean(differences > 0) <= expected.differing


def test_signs_are_thresholds(images: Array) -> None:
    """Not one sign of a binary network turns, though batch norms lie in front of them."""
    result, original = made("brevitas_qonnx_binary"), load(FIXTURES / "brevitas_qonnx_binary.onnx").ir
    assert result.audit.integer_only
    assert result.imported[0].startswith("used 6 of 6 scales that were given")
    signs = [node.outputs[0] for node in original.graph if node.op_type == "Where"]
    assert len(signs) == 2
    original.graph.outputs.extend(signs)
    session, executor = open_session(original), Executor(result.model)
    for image in images[:20]:
        feed = {"image": image[None]}
        _, *before = session.run(None, feed)
        values = executor.run(feed)
        for sign, reals in zip(signs, before, strict=True):
            codes, params = values[f"{sign.name}_quantized"], result.plan.tensors[str(sign.name)]
            assert np.array_equal(params.dequantize(codes), reals)

"""The sample networks that were trained under quantization, without torch: they come in whole, and stay exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from qconv import pipeline
from qconv.pipeline.quantize import Quantized
from qconv.verify.measure.sides import Side

NETWORKS = {
    "digits_mobilenet_qat8": 26, "digits_mobilenet_qat4": 26, "digits_mobilenet_qat3": 26, "digits_binary": 13,
    "digits_ternary": 13,
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_every_scale_is_used_and_accuracy_stays(name: str, sample_models: Path, tmp_path: Path) -> None:
    result = made(sample_models / f"{name}.onnx", tmp_path)
    assert result.audit.integer_only
    assert result.imported == (f"used {NETWORKS[name]} of {NETWORKS[name]} scales that were given",)
    certificates = [step.certificate for step in result.lowering.program.quantized if step.certificate is not None]
    assert all(c.proved == c.scales for c in certificates)
    layers = [step for step in result.lowering.program.quantized if len(step.reads) > 1 and step.bias is not None]
    assert len(layers) > 4
    assert all(step.certificate is not None and step.certificate.nudged == 0 for step in layers)  # training settled their scales
    with np.load(sample_models / "digits_test.npz") as data:
        images, labels = data["image"], data["labels"]
    (logits,) = Side(tmp_path / "m.int8.onnx").run({"image": images})
    assert np.mean(logits.argmax(1) == labels) >= 0.98


@pytest.mark.parametrize("name", ["digits_binary", "digits_ternary"])
def test_weights_of_few_values_stay_so(name: str, sample_models: Path, tmp_path: Path) -> None:
    """Every layer behind a sign computes with weights of two or three values, and its bias is odd: no sum is zero."""
    program = made(sample_models / f"{name}.onnx", tmp_path).lowering.program
    for step in program.quantized:
        constants = [read.value.const_value for read in step.reads[1:] if read.value.const_value is not None]
        weights = [constant for constant in constants if constant.dtype == ir.DataType.INT8]
        if not weights:
            continue
        codes = set(np.unique(weights[0].numpy()).tolist())
        assert codes <= ({-2, 2} if name == "digits_binary" else {-2, 0, 2}) or codes <= {-1, 0, 1}
        if 2 in codes:
            assert step.bias is not None and step.bias.constant is not None
            assert (step.bias.constant % 2 == 1).all()


def made(path: Path, folder: Path) -> Quantized:
    result = pipeline.quantize(path, pipeline.calibrate(path))
    result.save(folder / "m.int8.onnx")
    return result

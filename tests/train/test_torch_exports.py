"""What PyTorch's own quantization-aware training exports comes in with all its scales."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qconv
from qconv import QuantConfig
from qconv.verify.measure.sides import Side
from tests.lower.harness import normal

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that this part of torch is moving to another library
    quantization = pytest.importorskip("torch.ao.quantization")
    from torch.ao.nn.quantized import FloatFunctional


class Small(nn.Module):
    """A convolution with batch norm, a depthwise one, a sum and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.begin, self.end = quantization.QuantStub(), quantization.DeQuantStub()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        self.depthwise, self.relu2 = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU()
        self.sum, self.pool, self.flatten, self.dense = FloatFunctional(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.conv(self.begin(x))))
        y: Tensor = self.end(self.dense(self.flatten(self.pool(self.sum.add(x, self.relu2(self.depthwise(x)))))))
        return y


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("engine", ["fbgemm", "qnnpack", "x86"])
def test_fake_quantize_modules(engine: str, tmp_path: Path) -> None:
    network = quantization.fuse_modules_qat(Small().train(), [["conv", "norm", "relu"], ["depthwise", "relu2"]])
    network.qconfig = quantization.get_default_qat_qconfig(engine, version=0)
    quantization.prepare_qat(network, inplace=True)
    for _ in range(5):
        network(torch.randn(8, 3, 8, 8))
    network.eval().apply(quantization.disable_observer)
    path = tmp_path / "net.onnx"
    torch.onnx.export(network, (torch.randn(1, 3, 8, 8),), str(path), dynamo=False, opset_version=17, input_names=["x"])
    config = QuantConfig(target="x86-vnni")
    result = qconv.quantize(path, qconv.calibrate(path, config=config), config=config)
    assert result.audit.integer_only
    assert result.imported[0] == "used 8 of 8 scales that were given"
    result.save(tmp_path / "net.int8.onnx")
    feeds = [{"x": normal(1, 3, 8, 8, seed=seed)} for seed in range(20)]
    before, after = (np.stack([side.run(feed)[0] for feed in feeds]) for side in (Side(path), Side(tmp_path / "net.int8.onnx")))
    assert np.mean(np.abs(before - after) > 1e-6) <= 0.05  # ties that float32 sums round the other way

"""The C of a sample network on emulated microcontrollers, where their tools are installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.chips import run_on_chips, tools
from qconv import pipeline


@pytest.mark.skipif(not tools(), reason="arm-none-eabi-gcc or qemu-system-arm is not here")
def test_bytes_are_the_same_on_microcontrollers(sample_models: Path, tmp_path: Path) -> None:
    target = tmp_path / "m.int8.onnx"
    source = sample_models / "digits_binary.onnx"
    pipeline.quantize(source, pipeline.calibrate(source)).save(target)
    found = list(run_on_chips(target, str(sample_models / "digits_test.npz"), ["Cortex-M0+", "Cortex-M4"], samples=2))
    assert [(run.samples, run.differences) for run in found] == [(2, 0), (2, 0)]
    assert all(run.flash < 40_000 and run.ram < 16_000 for run in found)
    assert 0 < found[1].instructions < found[0].instructions  # 64-bit products take more of them on a Cortex-M0+

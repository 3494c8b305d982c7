"""The C of a sample network on emulated microcontrollers, where their tools are installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.chips import CHIPS, run_on_chips
from qconv import pipeline


def integer(sample_models: Path, folder: Path) -> Path:
    target = folder / "m.int8.onnx"
    source = sample_models / "digits_binary.onnx"
    pipeline.quantize(source, pipeline.calibrate(source)).save(target)
    return target


@pytest.mark.parametrize("chip", ["Cortex-M0+", "Cortex-M4", "Cortex-M55", "RISC-V RV32IMAC"])
def test_bytes_are_the_same_on_microcontrollers(chip: str, sample_models: Path, tmp_path: Path) -> None:
    if not CHIPS[chip].here:
        pytest.skip(f"{CHIPS[chip].tools}gcc or {CHIPS[chip].emulator[0]} is not here")
    (run,) = run_on_chips(integer(sample_models, tmp_path), str(sample_models / "digits_test.npz"), [chip], samples=2)
    assert (run.samples, run.differences) == (2, 0)
    assert run.flash < 40_000 and run.ram < 16_000
    assert 1e6 < run.instructions < 1e7

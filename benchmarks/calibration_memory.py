"""The peak memory of a calibration, or of plain inference, over samples from disk.

It is measured in a process of its own: python -m benchmarks.calibration_memory CALIBRATOR MODEL SAMPLES.npz
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import sample_file
from benchmarks.calibrators import OURS, PLAIN
from benchmarks.limited import memory, run


def measure(calibrator: str, model: Path, samples: Path) -> float | None:
    """MB, all of Python and onnxruntime included; None where the system does not tell. Raises FigureError."""
    text = run("benchmarks.calibration_memory", (calibrator, model, samples))
    return None if text == str(None) else float(text)


def _calibrate(calibrator: str, model: Path, samples: Path) -> None:
    # Imported within: each process imports only what it measures.
    if calibrator == PLAIN:
        from benchmarks.plain import run_all

        run_all(model, sample_file.read(samples))
    elif calibrator == OURS:
        from benchmarks import our_calibrator

        our_calibrator.choose(*our_calibrator.summarize(model, str(samples)))
    else:
        from benchmarks import their_calibrator

        with tempfile.TemporaryDirectory(prefix="qconv-bench-") as folder:
            their_calibrator.calibrate(calibrator, model, sample_file.read(samples), Path(folder))


def main(arguments: Sequence[str]) -> None:
    """Calibrates and prints the peak."""
    calibrator, model, samples = arguments
    _calibrate(calibrator, Path(model), Path(samples))
    print(memory("self", "VmHWM"))


if __name__ == "__main__":
    main(sys.argv[1:])

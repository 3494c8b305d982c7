"""The peak memory of calibration, as a function of the number of samples: a process of its own for each figure.

Run as a program, it is that process: python -m benchmarks.calibration_memory ours|theirs MODEL SAMPLES.npz
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks import sample_file
from benchmarks.feeds import ROOT, Feeds

FEW, MANY = 100, 1000
PROCESSES = 2  # at once: memory does not depend on what else runs


@dataclass(frozen=True)
class CalibrationMemory:
    """Peak resident memory in MB with FEW and MANY samples, all of Python and onnxruntime included."""

    ours: tuple[float, float]
    theirs: tuple[float, float]


def measure(model: Path, preprocessed: Path, feeds: Sequence[Feeds]) -> CalibrationMemory | None:
    """Both calibrators with FEW and MANY samples from disk; None where the system does not tell a process its peak."""
    if not Path("/proc/self/status").exists():
        return None
    with tempfile.TemporaryDirectory(prefix="qconv-bench-") as folder:
        files = [Path(folder) / f"{count}.npz" for count in (FEW, MANY)]
        for file, count in zip(files, (FEW, MANY), strict=True):
            sample_file.write(file, feeds, count)
        jobs = [(who, taken, file) for file in reversed(files) for who, taken in (("ours", model), ("theirs", preprocessed))]
        with ThreadPoolExecutor(PROCESSES) as pool:
            ours_many, theirs_many, ours_few, theirs_few = pool.map(lambda job: _peak(*job), jobs)
    return CalibrationMemory((ours_few, ours_many), (theirs_few, theirs_many))


def _peak(who: str, model: Path, samples: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.calibration_memory", who, str(model), str(samples)]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def _ours(model: Path, samples: Path) -> None:
    from qconv import pipeline  # within: each process imports only what it measures

    pipeline.calibrate(model, str(samples), threads=1)


def _theirs(model: Path, samples: Path) -> None:
    from benchmarks import their_calibrator

    with tempfile.TemporaryDirectory(prefix="qconv-bench-") as folder:
        their_calibrator.calibrate(model, sample_file.read(samples), Path(folder))


def _own_peak() -> float:
    """MB. Not getrusage: its maximum takes over what the parent had when it forked."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1000


def main(arguments: Sequence[str]) -> None:
    """Calibrates and prints the peak."""
    who, model, samples = arguments
    (_ours if who == "ours" else _theirs)(Path(model), Path(samples))
    print(_own_peak())


if __name__ == "__main__":
    main(sys.argv[1:])

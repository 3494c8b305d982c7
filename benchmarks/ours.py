"""A network quantized by qconv with its defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import Case, FeedSource
from qconv import pipeline
from qconv.integer.language.audit import Audit
from qconv.verify import audit_optimized


@dataclass(frozen=True)
class Ours:
    """The file, and what onnxruntime runs of it."""

    path: Path
    audit: Audit


def quantize(case: Case, folder: Path) -> Ours:
    """Writes the integer model into `folder`. Raises QconvError."""
    loaded = pipeline.load_prepared(case.path)
    calibration = pipeline.calibrate(loaded, FeedSource(case.calibration))
    path = folder / f"{case.name}.int8.onnx"
    pipeline.quantize(loaded, calibration, samples=FeedSource(case.calibration)).save(path)
    return Ours(path, audit_optimized(path))

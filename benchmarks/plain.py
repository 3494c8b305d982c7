"""Inference of the float model with nothing around it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import onnxruntime as ort

from benchmarks.feeds import Feeds


def run_all(model: Path, feeds: Iterable[Feeds]) -> None:
    """On one thread, with onnxruntime's own optimizations."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for feed in feeds:
        session.run(None, feed)

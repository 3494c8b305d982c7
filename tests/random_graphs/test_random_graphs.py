"""Random graphs are converted without a defect, and onnxruntime equals the executor in every element.

QCONV_RANDOM_GRAPHS=2000 python -m pytest tests/random_graphs        runs more of them; QCONV_RANDOM_SEED is the first seed

An output below 20 dB is allowed where verification warns of it: what follows a sharp function has no good 8-bit form. The seed is
the name of the test.
"""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest

from qconv import pipeline
from qconv.integer.execution.compare import mismatches
from qconv.integer.language.spec import check
from tests.lower.harness import Given

from .generator import random_graph

FIRST = int(os.environ.get("QCONV_RANDOM_SEED", "0"))
COUNT = int(os.environ.get("QCONV_RANDOM_GRAPHS", "40"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_a_random_graph_is_converted_exactly(tmp_path: Path, seed: int) -> None:
    model, feeds = random_graph(seed)
    onnx.checker.check_model(model, full_check=True)
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    loaded = pipeline.load_prepared(path)
    assert pipeline.self_check(loaded, Given(feeds)) < 1e-3
    quantized = pipeline.quantize(path, pipeline.calibrate(loaded, Given(feeds)))
    assert check(quantized.model) == []
    for feed in feeds:
        assert mismatches(quantized.model, feed) == []
    quantized.save(tmp_path / "m.int8.onnx")

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.errors import DataError
from tests.lower.harness import Array, Given, normal, write_model

LOG = "g (float[1,16] x) => (float[1,16] y{more}) {{ a = MatMul(x, w) p = Softmax(a) y = Log(p) }}"


def logarithm(folder: Path, weight: Array, more: str = "") -> Path:
    return write_model(folder / "m.onnx", LOG.format(more=more), {"w": weight}, 17)


def feeds() -> list[dict[str, Array]]:
    return [{"x": normal(1, 16, seed=seed)} for seed in range(4)]


def test_the_logarithm_of_a_softmax_needs_no_small_shares(tmp_path: Path) -> None:
    loaded = pipeline.load_prepared(logarithm(tmp_path, normal(16, 16)))
    assert not any(node.op_type == "Softmax" for node in loaded.ir.graph)
    assert pipeline.self_check(loaded, Given(feeds())) < 1e-5


def test_shares_that_are_read_elsewhere_stay(tmp_path: Path) -> None:
    loaded = pipeline.load_prepared(logarithm(tmp_path, normal(16, 16), ", float[1,16] p"))
    assert sum(node.op_type == "Softmax" for node in loaded.ir.graph) == 1


def test_a_sample_of_which_the_float_model_gives_no_numbers_is_named(tmp_path: Path) -> None:
    loaded = pipeline.load_prepared(logarithm(tmp_path, np.float32(100) * normal(16, 16)))
    with pytest.raises(DataError, match="output y holds NaN or Inf for sample 0"):
        pipeline.self_check(loaded, Given(feeds()))

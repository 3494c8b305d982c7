"""How far a channel may go on samples that were not seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qconv import pipeline
from qconv.recover.channels.extremes import Extremes, channel_extremes
from tests.lower.harness import normal, write_model


def test_extremes_are_those_of_the_samples(tmp_path: Path) -> None:
    path = write_model(
        tmp_path / "m.onnx", "g (float[1,3,4,4] x) => (float[1,5,4,4] y) { y = Conv(x, w) }", {"w": normal(5, 3, 1, 1)}
    )
    loaded = pipeline.load_prepared(path)
    feeds = [{"x": normal(1, 3, 4, 4, seed=seed)} for seed in range(5)]
    found = channel_extremes(loaded.ir, {"x": 1}, feeds)["x"]
    arrays = np.concatenate([feed["x"] for feed in feeds]).astype(np.float64)
    assert np.array_equal(found.lo, arrays.min(axis=(0, 2, 3)))
    assert np.array_equal(found.hi, arrays.max(axis=(0, 2, 3)))
    assert np.allclose(found.square, np.square(arrays).mean(axis=(0, 2, 3)), rtol=1e-5)  # a float32 sum
    assert np.array_equal(found.usual_hi, np.median(arrays.max(axis=(2, 3)), axis=0))
    assert found.samples == 5


def _extremes(hi: list[float], usual: list[float], samples: int) -> Extremes:
    zeros = np.zeros(len(hi))
    return Extremes(zeros, np.array(hi), zeros, zeros, np.array(usual), samples)


def test_a_channel_that_few_samples_make_large_gets_more_room() -> None:
    steady, rare = _extremes([10.0, 1.0], [10.0, 1.0], 100).reach[1], _extremes([10.0, 1.0], [10.0, 0.0], 100).reach[1]
    assert steady[1] < rare[1] < 10.0


def test_few_samples_are_believed_less_and_no_channel_passes_the_widest() -> None:
    reached = [_extremes([10.0, 1.0], [8.0, 0.5], samples).reach[1] for samples in (1000, 100, 10)]
    assert 1.0 < reached[0][1] < reached[1][1] < reached[2][1]
    assert all(hi[0] == 10.0 for hi in reached)

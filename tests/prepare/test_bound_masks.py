from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.model.session import open_session
from qconv.prepare.bound_masks import LARGEST
from tests.lower.harness import Array, Given, normal, write_model

TEXT = (
    "g (float[1,4,4] x, int64[1,4] m) => (float[1,4,4] y{more}) {{ u = Unsqueeze(m, axis) f = Cast<to=1>(u) "
    "i = Sub(one, f) b = Mul(i, low) a = Add(x, b) p = Softmax(a) y = MatMul(p, x) }}"
)
WEIGHTS = {"axis": np.asarray([1]), "one": np.asarray(1, np.float32), "low": np.asarray(np.finfo(np.float32).min)}
FEEDS: list[dict[str, Array]] = [{"x": normal(1, 4, 4, seed=n), "m": np.asarray([[1, n % 2, 1, 0]])} for n in range(8)]


def largest(folder: Path, more: str) -> float:
    """The largest constant of the prepared graph."""
    path = write_model(folder / "m.onnx", TEXT.format(more=more), WEIGHTS, 17)
    graph = pipeline.load_prepared(path).ir.graph
    arrays = [value.const_value.numpy() for value in graph.initializers.values() if value.const_value is not None]
    return max(float(np.abs(array.astype(np.float64)).max(initial=0)) for array in arrays)


def test_a_mask_of_the_lowest_number_becomes_integer(tmp_path: Path) -> None:
    assert largest(tmp_path, "") == np.float32(LARGEST)
    quantized = pipeline.quantize(tmp_path / "m.onnx", pipeline.calibrate(tmp_path / "m.onnx", Given(FEEDS)))
    assert not quantized.plan.float_nodes
    quantized.save(tmp_path / "m.int8.onnx")
    for feed in FEEDS:
        right, found = (open_session(tmp_path / name).run(None, feed)[0] for name in ("m.onnx", "m.int8.onnx"))
        assert np.abs(right - found).max() < 0.05 * np.abs(right).max()


def test_a_mask_of_several_layers_is_bounded_too(tmp_path: Path) -> None:
    text = (
        "g (float[1,4,4] x, int64[1,4] m) => (float[1,4,4] z) { u = Unsqueeze(m, axis) f = Cast<to=1>(u) i = Sub(one, f) "
        "b = Mul(i, low) a = Add(x, b) p = Softmax(a) y = MatMul(p, x) c = Add(y, b) q = Softmax(c) z = MatMul(q, y) }"
    )
    path = write_model(tmp_path / "m.onnx", text, WEIGHTS, 17)
    quantized = pipeline.quantize(path, pipeline.calibrate(path, Given(FEEDS)))
    assert not quantized.plan.float_nodes
    quantized.save(tmp_path / "m.int8.onnx")
    report = pipeline.verify(path, tmp_path / "m.int8.onnx", Given(FEEDS))
    assert report.exactness.equal and report.outputs[0].similarity.sqnr_db > 28.0
    layers = {layer.tensor: layer.similarity.sqnr_db for layer in report.layers}
    assert min(layers.values()) > 20.0, layers  # what stands for the mask is no error, whatever its codes are


@pytest.mark.parametrize("more", [", float[1,1,4] b", ", float[1,4,4] a"])
def test_a_mask_that_is_read_elsewhere_stays(tmp_path: Path, more: str) -> None:
    assert largest(tmp_path, more) == float(np.finfo(np.float32).max)


@pytest.mark.parametrize("low", [-1e9, float(np.finfo(np.float32).min)])
def test_a_mask_leaves_steps_for_scores_that_are_spread_widely(low: float, tmp_path: Path) -> None:
    text = (
        "g (float[1,8,64] x, int64[1,8] m) => (float[1,8,64] y) { u = Unsqueeze(m, axis) f = Cast<to=1>(u) i = Sub(one, f) "
        "b = Mul(i, low) t = Transpose<perm=[0,2,1]>(x) s = MatMul(x, t) a = Add(s, b) p = Softmax(a) y = MatMul(p, x) }"
    )
    weights = WEIGHTS | {"low": np.asarray(low, np.float32)}
    path = write_model(tmp_path / "m.onnx", text, weights, 17)
    mask = np.asarray([[1, 1, 0, 1, 1, 0, 0, 1]])
    feeds: list[dict[str, Array]] = [{"x": normal(1, 8, 64, seed=n), "m": mask} for n in range(4)]
    pipeline.quantize(path, pipeline.calibrate(path, Given(feeds))).save(tmp_path / "m.int8.onnx")
    report = pipeline.verify(path, tmp_path / "m.int8.onnx", Given(feeds))
    assert not report.exactness.mismatches
    assert report.outputs[0].similarity.sqnr_db > 28.0

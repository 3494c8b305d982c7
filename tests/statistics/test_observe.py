from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from qconv.config import QuantConfig
from qconv.data.source import Sample, inputs_of
from qconv.errors import DataError, UsageError
from qconv.model.load import load
from qconv.model.session import open_session
from qconv.ops.floors import Floors
from qconv.plan.make import tensors_to_observe
from qconv.prepare import prepare
from qconv.statistics.histogram import Histogram, bin_of
from qconv.statistics.observe import calibrate
from qconv.statistics.sampling import grid_of_shape, seed_of, step_of_shape, step_of_size
from qconv.statistics.summary import Summary
from tests.networks import Listed, conv_relu_pool, network, pictures
from tests.statistics.strategies import summary

Array = NDArray[Any]


def tensors_of(arrays: list[NDArray[np.float32]], names: list[str]) -> list[list[Array]]:
    session = open_session(conv_relu_pool(), outputs=names, threads=1)
    return [session.run(None, {"x": array}) for array in arrays]


def test_ranges_are_those_of_the_tensors() -> None:
    arrays, names = pictures(70), ["c", "r", "y"]  # more than a chunk
    found = calibrate(conv_relu_pool(), names, Listed(arrays), threads=1)
    stored = tensors_of(arrays, names)
    for i, name in enumerate(names):
        assert found[name] == with_lo(summary(*(s[i] for s in stored)), 0.0 if name == "r" else None)


def with_lo(found: Summary, lo: float | None) -> Summary:
    """As calibration sees a tensor that a clamp keeps from being negative."""
    return found if lo is None else replace(found, lo=lo)


def test_inputs_can_be_observed() -> None:
    arrays = pictures(3)
    assert calibrate(conv_relu_pool(), ["x"], Listed(arrays), threads=1) == {"x": summary(*arrays)}


def large(count: int, batch: int) -> list[Array]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((batch, 3, 120, 160)).astype(np.float32) for _ in range(count)]


def relu_of(shape: list[int | str | None]) -> Any:
    return network([helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Neg", ["r"], ["y"])], {"x": shape}, ["y"])


@pytest.mark.parametrize("shape", [[1, 3, 120, 160], ["N", 3, 120, 160], ["N", "C", "H", "W"]])
def test_large_tensors_are_sampled_by_the_rule(shape: list[int | str | None]) -> None:
    arrays = large(5, 1)
    found = calibrate(relu_of(shape), ["x", "y"], Listed(arrays), threads=1)
    grid = 1 if shape[1] == "C" else grid_of_shape([1, 3, 120, 160])
    thinned = [array[:, :, ::grid, ::grid] for array in arrays]
    step = step_of_size(thinned[0].size) if shape[1] == "C" else step_of_shape(thinned[0].shape)
    assert step > 1
    parts = [array.reshape(-1)[seed_of({"x": whole}) % step :: step] for array, whole in zip(thinned, arrays, strict=True)]
    for name, taken in (("x", parts), ("y", [-np.maximum(part, 0) for part in parts])):
        exact = calibrate(relu_of(shape), [name], Listed(arrays), exact=True, threads=1)[name]
        assert (found[name].lo, found[name].hi, found[name].samples) == (exact.lo, exact.hi, exact.samples)
        ends = np.array([exact.lo, exact.hi], np.float32)  # to have the same bins
        assert found[name].histogram == without(summary(ends, *taken), ends)


def without(found: Summary, elements: Array) -> Histogram:
    """The histogram less these elements."""
    less = found.histogram.filled.copy()
    np.subtract.at(less, np.searchsorted(found.histogram.bins, bin_of(elements[elements != 0], found.histogram.exponent)), 1)
    return Histogram(found.histogram.exponent, found.histogram.bins[less > 0], less[less > 0])


def test_exact_counts_every_element() -> None:
    arrays = large(3, 2)
    assert calibrate(relu_of(["N", 3, 120, 160]), ["x"], Listed(arrays), exact=True, threads=1) == {"x": summary(*arrays)}


@pytest.mark.parametrize("exact", [False, True])
def test_ragged_samples(exact: bool) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((1, 3, size, 2 * size)).astype(np.float32) for size in (1, 5, 40, 3)]
    found = calibrate(relu_of(["N", 3, "H", "W"]), ["x"], Listed(arrays), exact=exact, threads=1)["x"]
    whole = summary(*arrays)
    assert (found.samples, found.lo, found.hi) == (4, whole.lo, whole.hi)
    assert found.elements == whole.elements if exact else 600 < found.elements < 2000


def test_the_order_and_the_cut_of_the_samples_do_not_show() -> None:
    arrays, model = large(7, 1), relu_of([1, 3, 120, 160])
    whole = calibrate(model, ["x", "y"], Listed(arrays), threads=1)
    first, rest = (calibrate(model, ["x", "y"], Listed(part), threads=1) for part in (arrays[5:], arrays[:5]))
    assert {name: first[name].merge(rest[name]) for name in whole} == whole


@pytest.mark.parametrize("name", ["cifar_resnet20_bn", "squeezenet10_winml", "mobilenet_v1_025_224_bn"])
def test_ranges_of_real_networks(name: str, zoo: Path) -> None:
    model = load(zoo / "models" / f"{name}.onnx").ir
    prepare(model)
    tensors = tensors_to_observe(model.graph, QuantConfig())
    (info,) = inputs_of(model)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal([size or 1 for size in info.shape], np.float32) for _ in range(2)]
    found = calibrate(model, tensors, Listed(arrays, info.name), threads=1)
    inner = [tensor for tensor in tensors if tensor != info.name]
    session = open_session(model, outputs=inner, threads=1)
    floors = Floors.of(model.graph)  # what a Softmax reads is looked at down to where it counts
    for tensor, *values in zip(inner, *(session.run(None, {info.name: array}) for array in arrays), strict=True):
        values = [floors.raised_array(tensor, v) for v in values]
        expected = min(v.min() for v in values), max(v.max() for v in values)
        # Exposing a tensor changes which kernels are fused, and so the order of sums.
        np.testing.assert_allclose((found[tensor].lo, found[tensor].hi), expected, rtol=1e-4, atol=1e-5)


def test_ema_follows_the_order_of_the_samples() -> None:
    arrays = [np.full((1, 3, 8, 8), value, np.float32) for value in range(130)]
    (found,) = calibrate(conv_relu_pool(), ["x"], Listed(arrays), averages=True, threads=1).values()
    weights = 0.99 ** np.arange(129, -1, -1)
    assert found.averages is not None
    assert found.averages.hi == pytest.approx(float((weights * np.arange(130)).sum() / weights.sum()), rel=1e-12)  # float64 sums


def test_progress_counts_every_sample() -> None:
    calls: list[tuple[int, int | None]] = []
    calibrate(conv_relu_pool(), ["r"], Listed(pictures(3)), threads=1, progress=lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_no_tensors_need_no_samples() -> None:
    assert calibrate(conv_relu_pool(), [], Listed([])) == {}


@pytest.mark.parametrize("tensor", ["nowhere", "n"])
def test_unknown_or_integer_tensor(tensor: str) -> None:
    model = network(
        [helper.make_node("Cast", ["x"], ["n"], to=TensorProto.INT64)], {"x": [4]}, ["n"], types={"n": TensorProto.INT64}
    )
    with pytest.raises(UsageError, match=f"no float32 tensor '{tensor}'"):
        calibrate(model, [tensor], Listed([np.zeros(4, np.float32)]))


def test_no_samples() -> None:
    with pytest.raises(DataError, match="listed arrays has no samples"):
        calibrate(conv_relu_pool(), ["r"], Listed([]))


def test_a_sample_the_model_cannot_take() -> None:
    with pytest.raises(DataError, match=r"cannot run on sample listed\[1\]"):
        calibrate(conv_relu_pool(), ["r"], Listed([*pictures(1), np.zeros((1, 5, 8, 8), np.float32)]))


def root_network() -> Any:
    """x -> Sqrt "s" -> Relu "r" -> MaxPool "y": negative values become NaN in the middle, far from position 0."""
    nodes = [
        helper.make_node("Sqrt", ["x"], ["s"], name="root"),
        helper.make_node("Relu", ["s"], ["r"], name="relu"),
        helper.make_node("MaxPool", ["r"], ["y"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    return network(nodes, {"x": [1, 3, 8, 8]}, ["y"])


@pytest.mark.parametrize("observed", [["y"], ["r", "y"], ["x"]])
@pytest.mark.parametrize("position", [(0, 0, 0, 0), (0, 1, 4, 5), (0, 2, 7, 7)])
def test_nan_names_the_first_tensor_and_the_sample(observed: list[str], position: tuple[int, ...]) -> None:
    arrays = [np.abs(array) for array in pictures(6)]
    arrays[4][position] = -1.0
    with pytest.raises(DataError, match=r"tensor s \(output of Sqrt root\) holds NaN for sample 4, listed\[4\]"):
        calibrate(root_network(), observed, Listed(arrays), threads=1)


def test_infinity_names_the_tensor() -> None:
    model = network(
        [helper.make_node("Exp", ["x"], ["e"], name="exp"), helper.make_node("Relu", ["e"], ["y"])], {"x": [1, 9]}, ["y"]
    )
    arrays = [np.zeros((1, 9), np.float32), np.full((1, 9), 100, np.float32)]
    with pytest.raises(DataError, match=r"tensor e \(output of Exp exp\) holds Inf for sample 1, listed\[1\]"):
        calibrate(model, ["x"], Listed(arrays), threads=1)


def test_an_infinity_that_a_clamp_would_hide() -> None:
    nodes = [helper.make_node("Exp", ["x"], ["e"], name="exp"), helper.make_node("Clip", ["e", "lo", "hi"], ["y"])]
    model = network(nodes, {"x": [1, 9]}, ["y"], {"lo": np.array(0, np.float32), "hi": np.array(6, np.float32)})
    with pytest.raises(DataError, match=r"tensor e .* holds Inf for sample 0"):
        calibrate(model, ["y"], Listed([np.full((1, 9), 100, np.float32)]), threads=1)


def test_a_sum_beyond_float32_is_no_crime() -> None:
    array = np.full((1, 3, 8, 8), 1e38, np.float32)
    found = calibrate(root_network(), ["x"], Listed([array]), threads=1)
    assert found == {"x": summary(array)}
    assert found["x"].to_json()["lo"] == 1e38


def test_an_empty_tensor_is_left_out_of_its_statistic() -> None:
    model = network([helper.make_node("Abs", ["x"], ["y"])], {"x": ["N", 2]}, ["y"])
    arrays = [np.ones((1, 2), np.float32), np.zeros((0, 2), np.float32), np.full((2, 2), 3, np.float32)]
    assert calibrate(model, ["y"], Listed(arrays), threads=1) == {"y": summary(*arrays)}


PARCEL = 32  # small samples, see qconv/data/prefetch.py


class Counted:
    """A source that counts how many of its samples are alive."""

    description = "counted"
    warning: str | None = None

    def __init__(self, count: int, limit: int) -> None:
        self._count, self._limit, self.most = count, limit, 0
        self._alive: weakref.WeakSet[Sample] = weakref.WeakSet()

    def __iter__(self) -> Iterator[Sample]:
        for index in range(self._count):
            sample = Sample({"x": np.full((1, 3, 8, 8), index, np.float32)}, None, str(index))
            self._alive.add(sample)
            if len(self._alive) > self._limit:
                gc.collect()  # only here, as it takes long: no crime is a sample that merely awaits it
            self.most = max(self.most, len(self._alive))
            yield sample


def test_no_sample_outlives_its_turn() -> None:
    limit = 5 * PARCEL  # in the reader's hand, two queued, in the network, and one on the way
    source = Counted(2 * limit, limit)
    calibrate(conv_relu_pool(), ["r"], source, threads=1)
    assert PARCEL <= source.most <= limit

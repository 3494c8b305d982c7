from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from qconv.data.source import SampleSource, inputs_of
from qconv.data_free.batchnorm_match import affine_batchnorms
from qconv.data_free.synthetic import synthetic_source
from qconv.errors import DataError
from qconv.model.session import open_session
from tests.networks import network

CHANNELS = 12
MEAN = np.array([0.4, -1.0, 2.0], np.float32)
STD = np.array([0.5, 2.0, 1.0], np.float32)


def remembering(layout: str = "nchw") -> ir.Model:
    """Conv and batch norm that remember white noise of MEAN and STD; a Transpose in front for nhwc."""
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((CHANNELS, 3, 3, 3)).astype(np.float32)
    mean = np.einsum("ocij,c->o", weight, MEAN)
    variance = np.einsum("ocij,c->o", weight**2, STD**2)
    constants = {"w": weight, "m": mean, "v": variance, "s": np.ones_like(mean), "b": np.zeros_like(mean)}
    nodes = [
        helper.make_node("Conv", ["t", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n"]),
    ]
    nodes += [helper.make_node("Relu", ["n"], ["y"])]
    perm = [0, 3, 1, 2] if layout == "nhwc" else [0, 1, 2, 3]
    shape = [None, 20, 14, 3] if layout == "nhwc" else [None, 3, 20, 14]  # too narrow for a picture
    return network([helper.make_node("Transpose", ["x"], ["t"], perm=perm), *nodes], {"x": shape}, ["y"], constants)


def draw(source: SampleSource, name: str = "x") -> NDArray[Any]:
    return np.concatenate([sample.feeds[name] for sample in source])


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_samples_have_what_the_batch_norm_remembers(layout: str) -> None:
    model = remembering(layout)
    source = synthetic_source(model, inputs_of(model), 200, seed=0)
    session = open_session(model, outputs=["c"], threads=1)
    responses = np.concatenate([session.run(None, dict(sample.feeds))[0] for sample in source])
    norm = affine_batchnorms(model.graph)["x"][0]
    spread = np.sqrt(norm.variance)
    assert np.abs((responses.mean(axis=(0, 2, 3)) - norm.mean) / spread).max() < 0.3  # flat noise leaves 1 / sqrt(200), times 3
    ratio = responses.var(axis=(0, 2, 3)) / norm.variance
    assert ratio.min() > 0.5 and ratio.max() < 2.0  # 12 channels share a handful of amplitudes
    assert "matched to its first batch norm" in str(source.warning)


def test_inputs_of_the_form_of_pictures_get_pictures() -> None:
    model = network([helper.make_node("Relu", ["x"], ["y"])], {"x": [1, 32, 32, 1]}, ["y"])
    source = synthetic_source(model, inputs_of(model), 4, seed=0)
    samples = draw(source)
    assert samples.shape == (4, 32, 32, 1)
    assert source.exact == {"x": (0.0, 1.0)} and samples.min() == 0.0 and samples.max() == 1.0
    assert "synthetic pictures" in str(source.warning) and "guess" in str(source.warning)


def test_equal_seeds_give_equal_samples_each_time() -> None:
    model = remembering()
    first, second = (synthetic_source(model, inputs_of(model), 3, seed=5) for _ in range(2))
    np.testing.assert_array_equal(draw(first), draw(second))
    np.testing.assert_array_equal(draw(first), draw(first))
    assert not np.array_equal(draw(first), draw(synthetic_source(model, inputs_of(model), 3, seed=6)))


def test_without_a_batch_norm_it_is_random_and_says_so() -> None:
    model = network([helper.make_node("Relu", ["x"], ["y"])], {"x": [1, 3, 16, 8]}, ["y"])
    source = synthetic_source(model, inputs_of(model), 16, seed=0)
    samples = draw(source)
    assert samples.shape == (16, 3, 16, 8)
    assert abs(samples.std() - 1) < 0.05  # 6144 normal values
    assert source.exact == {}
    assert "no data was given" in str(source.warning) and "random noise" in str(source.warning)


def test_a_batch_norm_behind_a_clamp_is_not_matched() -> None:
    model = remembering()
    norm = next(node for node in model.graph if node.op_type == "BatchNormalization")
    relu = ir.node("Relu", [norm.inputs[0]], name="clamp")
    model.graph.insert_before(norm, relu)
    norm.replace_input_with(0, relu.outputs[0])
    assert affine_batchnorms(model.graph) == {}


def test_free_sizes_take_the_first_that_runs() -> None:
    weight = {"shape": np.array([1, 3 * 64 * 64], np.int64)}
    model = network([helper.make_node("Reshape", ["x", "shape"], ["y"])], {"x": ["N", "C", "H", "W"]}, ["y"], weight)
    (sample,) = synthetic_source(model, inputs_of(model), 1, seed=0)
    assert sample.feeds["x"].shape == (1, 3, 64, 64)


def test_no_size_that_runs_asks_for_data() -> None:
    weight = {"shape": np.array([1, 7919], np.int64)}
    model = network([helper.make_node("Reshape", ["x", "shape"], ["y"])], {"x": ["N", "L"]}, ["y"], weight)
    with pytest.raises(DataError, match=r"no default size fits .* give samples with --data") as caught:
        synthetic_source(model, inputs_of(model), 1, seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "low", "high"), [(TensorProto.UINT8, 0, 255), (TensorProto.INT8, -128, 127), (TensorProto.INT64, 0, 127)]
)
def test_integers_are_uniform_in_a_modest_range(kind: int, low: int, high: int) -> None:
    model = network([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)], {"x": [1, 4096]}, ["y"], types={"x": kind})
    samples = draw(synthetic_source(model, inputs_of(model), 4, seed=0))
    assert (samples.min(), samples.max()) == (low, high)
    assert samples.dtype == inputs_of(model)[0].dtype


def test_small_tables_take_small_integers() -> None:
    model = network(
        [helper.make_node("Gather", ["t", "x"], ["y"])], {"x": [1, 9]}, ["y"], {"t": np.ones((2, 3), np.float32)}, {"x": 7}
    )
    assert draw(synthetic_source(model, inputs_of(model), 4, seed=0)).max() == 1
